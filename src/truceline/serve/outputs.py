"""Whether the service lives and does its work, and its figures for Prometheus.

What gate and live do not have to have, and is used where they do:

    gate.problem      a sentence while nothing can be journalled (the disk is full), else None
    gate.ack_seconds  a `meters.Acknowledged`: how long records waited for their acknowledgement
    live.behind_s     for how long what was journalled last has waited for the picture
    live.problem      a sentence while the picture cannot be made anew, else None
    bus.listeners     how many listen
"""

import ipaddress
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from truceline.intake import JOURNAL
from truceline.serve.access import Open
from truceline.serve.meters import Acknowledged
from truceline.serve.query import query_of
from truceline.serve.service import Service, service_of

router = APIRouter(tags=["health"])

#: Less room on the disk than this and the service is not ready: a minute of the greatest load it is made for.
LEAST_BYTES = 256 << 20
#: A picture that is farther behind than this is not fresh; it is meant to be a second.
BEHIND_S = 30.0
#: Prometheus's text format.
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/health/live", summary="Whether the process answers", response_model=None)
async def live(_: Open) -> Response:
    """200 as long as the event loop turns. Restart what does not answer."""
    return JSONResponse({"status": "live"})


@router.get(
    "/health/ready",
    summary="Whether it takes records and shows them",
    response_model=None,
    responses={
        200: {"description": "Ready.", "content": {"application/json": {"example": {"status": "ready"}}}},
        503: {"description": "Not ready; the mission's own readers and the machine itself are told why."},
    },
)
async def ready(request: Request, asking: Open) -> Response:  # gate and live are asked in their own loop
    """200 when the journal can be written and the picture follows it, else 503."""
    service = service_of(request)
    reasons = problems(service)
    answer: dict[str, Any] = {"status": "not ready" if reasons else "ready"}
    if query_of(service).label(asking) == "mission" or of_this_machine(request):
        answer["reasons"] = reasons
    return JSONResponse(answer, 503 if reasons else 200)


def problems(service: Service) -> list[str]:
    """What keeps the service from its work, in sentences; none: it is ready."""
    out = []
    problem = getattr(service.gate, "problem", None)
    if problem:
        out.append(f"records cannot be journalled: {problem}")
    journal = service.folder / JOURNAL
    if not os.access(journal if journal.exists() else service.folder, os.W_OK):
        out.append("the journal's folder cannot be written")
    try:
        free = shutil.disk_usage(service.folder).free
    except OSError as error:
        out.append(f"the disk cannot be looked at: {error.strerror}")
    else:
        if free < LEAST_BYTES:
            out.append(f"{free >> 20} MiB are free on the disk; {LEAST_BYTES >> 20} are needed")
    behind_s = getattr(service.live, "behind_s", 0.0)
    if behind_s > BEHIND_S:
        out.append(f"the picture is {behind_s:.0f} s behind the journal")
    problem = getattr(service.live, "problem", None)
    if problem:
        out.append(f"the picture cannot be made anew: {problem}")
    return out


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_model=None,
    responses={
        200: {
            "description": "Prometheus's text format.",
            "content": {"text/plain": {"example": "truceline_revision 42\n"}},
        },
        404: {"description": "Figures are for the mission's own readers and the machine itself."},
    },
)
async def metrics(request: Request, asking: Open) -> Response:
    """Records by source and what became of them, lag, silence, the picture's revision and age, listeners, alerts."""
    service = service_of(request)
    if query_of(service).label(asking) != "mission" and not of_this_machine(request):
        raise HTTPException(404, "Not Found")  # as where there is nothing
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(service))
    return Response(generate_latest(registry), media_type=_TEXT)


def of_this_machine(request: Request) -> bool:
    """Whether a request comes from the machine itself, and through no proxy."""
    if request.client is None or {"x-forwarded-for", "forwarded", "x-real-ip"} & set(request.headers):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


class Figures:
    """What is asked of gate, live, bus and alerts when somebody scrapes."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def collect(self) -> Iterator[Metric]:
        yield from self._of_sources()
        yield from self._of_picture()
        acknowledged: Acknowledged | None = getattr(self.service.gate, "ack_seconds", None)
        if acknowledged is not None:
            yield _histogram(acknowledged)

    def _of_sources(self) -> Iterator[Metric]:
        records = CounterMetricFamily(
            "truceline_records", "Records read, by source and what became of them.", labels=["source", "outcome"]
        )
        lag, waiting, silent = (
            GaugeMetricFamily(f"truceline_source_{name}", text, labels=["source"])
            for name, text in (
                ("lag_seconds", "Receipt less event time of the newest record."),
                ("waiting_bytes", "Taken from the source and not journalled yet."),
                ("silent", "1 where it has been silent for longer than it should."),
            )
        )
        for row in self.service.gate.sources():
            for outcome in ("accepted", "duplicates", "rejected"):
                if row.get(outcome) is not None:
                    records.add_metric([row["id"], outcome], row[outcome])
            if row.get("lag_s") is not None:
                lag.add_metric([row["id"]], row["lag_s"])
            if row.get("waiting_bytes") is not None:
                waiting.add_metric([row["id"]], row["waiting_bytes"])
            silent.add_metric([row["id"]], 1.0 if row.get("state") == "silent" else 0.0)
        inputs = self.service.kept.get("inputs")
        for source, row in (inputs.board() if inputs is not None else {}).items():
            records.add_metric([source, "dropped"], row["dropped"])  # datagrams and the like, unread
        yield from (records, lag, waiting, silent)

    def _of_picture(self) -> Iterator[Metric]:
        snapshot, now = self.service.live.snapshot, self.service.clock()
        yield _gauge("revision", "Revision of the live picture.", snapshot.revision)
        yield _gauge(
            "picture_age_seconds", "Now less the event time up to which the picture speaks.", _s(now, snapshot.at)
        )
        yield _gauge("picture_behind_seconds", "For how long journalled records have waited for the picture.",
                     getattr(self.service.live, "behind_s", 0.0))  # fmt: skip
        if snapshot.edition is not None:
            yield _gauge("edition", "Number of the newest edition.", snapshot.edition.number)
            yield _gauge("edition_age_seconds", "Since the newest edition was made.", _s(now, snapshot.edition.made_at))
        listeners = getattr(self.service.bus, "listeners", None)
        if listeners is not None:
            yield _gauge("listeners", "Open streams.", listeners)
        alerts = self.service.alerts.listed("standing", 1_000_000)
        unseen = sum(getattr(one, "acknowledged_by", None) is None for one in alerts)
        yield _gauge("alerts_open", "Alerts that stand and nobody has acknowledged.", unseen)
        yield _gauge("ready", "1 where records are taken and shown.", 0.0 if problems(self.service) else 1.0)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"truceline_{name}", text, value=value)


def _histogram(of: Acknowledged) -> Metric:
    buckets = [(str(bound), float(count)) for bound, count in zip(of.seconds, of.counts, strict=True)]
    family = HistogramMetricFamily("truceline_acknowledged_seconds", "From receipt to acknowledgement on disk.")
    family.add_metric([], [*buckets, ("+Inf", float(of.total))], of.sum_s)
    return family


def _s(now: datetime, then: datetime) -> float:
    return (now - then).total_seconds()
