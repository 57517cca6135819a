"""Timeline and sites: what occurred and who was heard, bucket by bucket and place by place."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from fastapi import APIRouter, Query, Request
from pydantic import WithJsonSchema

from truceline.errors import QueryError
from truceline.frame import Frame
from truceline.release import COARSE, horizon
from truceline.serve import filters, tallies
from truceline.serve.access import See
from truceline.serve.ogc import stamp, whole
from truceline.serve.query import query_of
from truceline.serve.service import Service, service_of
from truceline.serve.views import sites as sites_of
from truceline.store.flat import iso_times

router = APIRouter(prefix="/api", tags=["picture"])

#: Buckets of one timeline: more than a screen has columns.
_MOST = 10_000
_HOUR_S = 3600
#: Reporting days that a site's board goes back.
_DAYS = 14
_CORNERS = 64
_TIME = WithJsonSchema({"type": "string", "format": "date-time"})


@router.get(
    "/timeline",
    summary="Counts over time, and who was silent",
    response_model=None,
    responses={
        200: {
            "description": "Counts by bucket; null: fewer than may be told.",
            "content": {
                "application/json": {
                    "example": {
                        "from": "2031-03-14T00:00:00Z",
                        "bucket_s": 3600,
                        "incidents": [3, 0],
                        "findings": [1, 0],
                        "sources": {"patrols": [4, 2]},
                        "silent": [
                            {"source": "viirs", "from": "2031-03-14T02:00:00Z", "until": "2031-03-14T11:00:00Z"}
                        ],
                    }
                }
            },
        },
        400: {"description": "A parameter is not what it has to be; the answer names it."},
    },
)
def timeline(
    request: Request,
    asking: See,
    begin: Annotated[
        str | None, _TIME, Query(alias="from", description="First moment; without it the mission's window back.")
    ] = None,
    end: Annotated[
        str | None, _TIME, Query(alias="to", description="Last moment; without it up to where the picture speaks.")
    ] = None,
    bucket_s: Annotated[
        str | None,
        WithJsonSchema({"type": "integer", "minimum": 60, "default": _HOUR_S}),
        Query(description="Length of a bucket, seconds: whole minutes; whole hours for parties and public."),
    ] = None,
) -> dict[str, Any]:
    """Incidents by when they began, likely findings by when the breach can first have been, records by source.

    A finding is likely from a probability of breach above 0.5, and counts once however many readings share it. A source
    is silent when it was not heard for longer than its `silent_after_s`, or without that for longer than three times
    its median interval and ten minutes. Sources are for the mission alone; parties and public get no count below five.
    """
    service = service_of(request)
    query = query_of(service)
    label = query.label(asking)
    strict = label in COARSE or label is None
    step = whole("bucket_s", bucket_s, 60, _HOUR_S)
    unit = _HOUR_S if strict else 60
    if step % unit:
        raise QueryError(f"bucket_s = {bucket_s!r}: it takes whole {'hours' if strict else 'minutes'}")
    now = service.live.snapshot.at if label == "mission" else service.clock()
    last = filters.instant("to", end) if end is not None else horizon(now) if strict else now
    window = timedelta(hours=service.mission.serve.window_h)
    first = filters.instant("from", begin) if begin is not None else last - window
    begin_s = first.timestamp() // unit * unit
    n = int(np.ceil((last.timestamp() - begin_s) / step))
    if not 0 < n <= _MOST:
        raise QueryError(f"from {stamp(first)} to {stamp(last)} are {n} buckets of {step} s; 1 to {_MOST} are taken")
    counts: dict[str, Any] = {"incidents": [0] * n, "findings": [0] * n}
    if label is not None:
        incidents, found = (query.view(name, asking) for name in ("incidents", "findings"))
        counts["incidents"] = tallies.buckets(incidents["first_at"], begin_s, step, n)
        counts["findings"] = tallies.buckets(tallies.likely(found)["first_breach_from"], begin_s, step, n)
    if strict:
        counts = {name: tallies.not_few(each) for name, each in counts.items()}
    out = {"from": _stamp(begin_s), "bucket_s": step, **counts, "sources": {}, "silent": []}
    if label == "mission":
        heard = listening_of(service).heard()
        out["sources"] = tallies.records(heard, begin_s, step, n)
        gaps = tallies.silences(heard, service.mission, begin_s, last.timestamp())
        out["silent"] = [one | {"from": _stamp(one["from"]), "until": _stamp(one["until"])} for one in gaps]
    return out


@router.get("/sites", summary="The agreement's sites and how quiet they were", response_model=None)
def sites(request: Request, asking: See) -> list[dict[str, Any]]:
    """Each site with its ring, the findings about it, and its last reporting days.

    A day is `finding` when a likely finding began on it, `quiet` when none did while something was heard from within
    10 km of the site, and `not assessed` when nothing was: silence says something only where somebody listened. Days
    are for the mission alone, because they tell where somebody did.
    """
    service = service_of(request)
    query = query_of(service)
    label = query.label(asking)
    if "sites" not in query.collections(asking):
        return []
    places, found = query.view("sites", asking), query.view("findings", asking)
    frame = service.mission.frame()
    about = tallies.nearest_site(places, found, frame)
    likely = set(tallies.likely(found)["finding_id"].to_pylist())
    rows = _findings(found)
    heard = listening_of(service).heard() if label == "mission" else tallies.Heard({}, {})
    last = service.mission.day_of(service.live.snapshot.at) if label == "mission" else date.min
    out = []
    for site in places.to_pylist():
        mine = [row for row, one in zip(rows, about, strict=True) if one == site["site_id"]]
        site = {"id": site.pop("site_id"), **site, "ring": _ring(site, frame), "findings": mine, "days": []}
        if label == "mission":
            days = Counter(
                service.mission.day_of(datetime.fromisoformat(row["first_breach_from"]))
                for row in mine
                if row["first_breach_from"] and bytes.fromhex(row["id"]) in likely
            )
            site["days"] = tallies.days_at(site["id"], heard, days, last, _DAYS)
        out.append(site)
    return out


def _findings(rows: pa.Table) -> list[dict[str, Any]]:
    names = ["clause", "reading", "p_breach", "severity", "sentence"]
    times = [iso_times(rows[name]) for name in ("first_breach_from", "first_breach_until")]
    table = pa.table(
        [
            pa.array([one.hex() for one in rows["finding_id"].to_pylist()], pa.string()),
            *times,
            *rows.select(names).columns,
        ],
        names=["id", "first_breach_from", "first_breach_until", *names],
    )
    found: list[dict[str, Any]] = table.to_pylist()
    for row in found:
        row["p_breach"] = None if row["p_breach"] is None else round(row["p_breach"], 6)
    return found


def _ring(site: dict[str, Any], frame: Frame) -> dict[str, Any]:
    """The site's circle as a GeoJSON polygon."""
    east, north = frame.to_local([site["lon"]], [site["lat"]])
    turn = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
    lon, lat = frame.to_degrees(east + site["radius_m"] * np.cos(turn), north + site["radius_m"] * np.sin(turn))
    points = np.round(np.stack([lon, lat], axis=1), 6).tolist()
    return {"type": "Polygon", "coordinates": [[*points, points[0]]]}


def _stamp(at_s: float) -> str:
    return stamp(datetime.fromtimestamp(at_s, UTC))


def listening_of(service: Service) -> tallies.Listening:
    """When sources were heard: one, kept with the running mission."""
    found = service.kept.get("listening")
    if found is None:
        query = query_of(service)
        new = tallies.Listening(service, sites_of(query.setting.agreement, service.folder))
        found = service.kept.setdefault("listening", new)
    assert isinstance(found, tallies.Listening)
    return found
