"""Alerts as messages of the Common Alerting Protocol, version 1.2 (OASIS), which warning systems read.

    GET /api/alerts/{id}/cap

What a message says beyond the alert's words is a mapping (docs/tak.md), and law 6 holds: no place where somebody's
weapons, vehicles, aircraft or vessels are or fired from, else the cell of a kilometre or the settlement; nothing is
predicted; "Observed" is never said, because no person has signed.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Path, Request, Response

from truceline.errors import NotFoundError
from truceline.intake import JOURNAL
from truceline.observation import ID
from truceline.release import Principal, horizon, label_of, visible
from truceline.serve.access import See
from truceline.serve.query import query_of
from truceline.serve.service import Alert, Service, service_of
from truceline.serve.tak_marks import alert_words, harmless, place
from truceline.store import Journal

router = APIRouter(prefix="/api", tags=["alerts"])

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
MEDIA_TYPE = "application/cap+xml"
#: Harm that was done, not harm to come: nothing here is a threat "extraordinary" to life by the standard's words.
SEVERITY = {"grave": "Severe", "serious": "Moderate", "minor": "Minor"}
#: The standard's "Likely" is more than half; below that "Possible".
LIKELY_FROM = 0.5
#: A watch reads it within a day, or there is a newer one.
EXPIRES_AFTER = timedelta(hours=24)

#: By release label: how far the message may go on, and to whom.
_SCOPES = {
    "public": ("Public", None),
    "parties": ("Private", "parties"),
    "sending_states": ("Private", "sending-states"),
}
_STATES = {"raised": "Alert", "changed": "Update", "withdrawn": "Cancel"}


@router.get("/alerts/{alert_id}/cap", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}})
async def cap(
    request: Request,
    principal: See,
    alert_id: Annotated[str, Path(description="of the alert, hexadecimal", examples=["0" * 32])],
) -> Response:
    """The alert's newest message, as CAP 1.2."""
    service = service_of(request)
    made = await asyncio.to_thread(_made, service, principal, alert_id)
    return Response(made, media_type=MEDIA_TYPE)


def _made(service: Service, principal: Principal, alert_id: str) -> bytes:
    nothing = NotFoundError(f"there is no alert {alert_id!r}")
    try:
        alert = service.alerts.get(bytes.fromhex(alert_id))
    except (ValueError, NotFoundError):
        raise nothing from None
    anonymous = principal.via == "anonymous" and not service.mission.serve.public
    late = label_of(principal) == "mission" or (alert.at or alert.raised_at) <= horizon(service.clock())
    if anonymous or not late or not visible(alert.release, principal):
        raise nothing
    rows = Journal(service.folder / JOURNAL).table("alert", ["alert_id", "state", "received_at"])
    mine = rows.filter(pc.equal(rows["alert_id"], pa.scalar(alert.alert_id, ID)))
    told = zip(mine["state"].to_pylist(), mine["received_at"].to_pylist(), strict=True)
    return message(service, alert, [(state, at) for state, at in told if state in _STATES])


def message(service: Service, alert: Alert, told: Sequence[tuple[str, datetime]]) -> bytes:
    """One alert as CAP XML.

    Parameters
    ----------
    told
        Every state that was told of it, and when, in order; that somebody acknowledged it is the mission's own.
    """
    query = query_of(service)
    told = list(told) or [(alert.state, alert.received_at)]
    state, sent = told[-1]
    begun = max((place for place, (one, _) in enumerate(told) if one == "raised"), default=0)
    sender = f"truceline@{_word(service.mission.name)}"
    names = [f"{alert.alert_id.hex()}-{number}" for number in range(1, len(told) + 1)]
    scope, addresses = _SCOPES.get(alert.release or "mission", ("Restricted", None))
    where: tuple[float, float, float, str] | None = None
    if alert.finding_id in harmless(service) and alert.lon is not None and alert.lat is not None:
        where = place(query, alert.lon, alert.lat)
    titles = {clause.id: clause.title for clause in query.setting.agreement.clause}
    about = f"Clause {alert.clause}: {titles.get(alert.clause or '', 'possible breach')}"
    words = alert_words(query, alert, where[3] if where else "")

    root = ElementTree.Element("alert", xmlns=NAMESPACE)
    _say(root, "identifier", names[-1])
    _say(root, "sender", sender)
    _say(root, "sent", _moment(sent))
    _say(root, "status", "Exercise" if service.mission.exercise else "Actual")
    _say(root, "msgType", _STATES[state])
    _say(root, "scope", scope)
    if scope == "Restricted":
        _say(root, "restriction", "staff of the mission")
    if addresses is not None:
        _say(root, "addresses", addresses)
    if service.mission.exercise or state == "withdrawn":
        notes = ["an exercise: everything is invented"] if service.mission.exercise else []
        notes += [f"withdrawn: {_coarse_reason(alert)}"] if state == "withdrawn" else []
        _say(root, "note", "; ".join(notes))
    before = [f"{sender},{name},{_moment(at)}" for name, (_, at) in zip(names, told, strict=True)][begun:-1]
    if before:
        _say(root, "references", " ".join(before))
    info = ElementTree.SubElement(root, "info")
    _say(info, "language", "en")
    _say(info, "category", "Security" if alert.what == "finding" else "Safety")
    _say(info, "event", about if alert.what == "finding" else "Silence of a source")
    _say(info, "urgency", _urgency(alert, state))
    _say(info, "severity", SEVERITY.get(alert.severity or "", "Unknown"))
    _say(info, "certainty", _certainty(alert))
    _say(info, "expires", _moment(sent + EXPIRES_AFTER))
    _say(info, "senderName", service.mission.name)
    _say(info, "headline", about if alert.what == "finding" else f"Nothing comes from source {alert.source}")
    _say(info, "description", words)
    if alert.p_breach is not None:
        parameter = ElementTree.SubElement(info, "parameter")
        _say(parameter, "valueName", "probability of breach, uncalibrated")
        _say(parameter, "value", f"{round(alert.p_breach, 1):.1f}")
    if where is not None:
        lon, lat, radius_m, said = where
        area = ElementTree.SubElement(info, "area")
        _say(area, "areaDesc", said)
        _say(area, "circle", f"{lat:.5f},{lon:.5f} {max(1.0, radius_m / 1000):g}")
    document: Any = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return bytes(document)


def _urgency(alert: Alert, state: str) -> str:
    """How soon somebody should do something; what a breach calls for is that somebody looks."""
    if state == "withdrawn":
        return "Past"
    if alert.what != "finding":
        return "Expected"  # somebody should see within the hour why it is silent
    if alert.p_breach is None or alert.p_breach < LIKELY_FROM:
        return "Unknown"
    return {"grave": "Immediate", "serious": "Expected"}.get(alert.severity or "", "Future")


def _certainty(alert: Alert) -> str:
    if alert.what != "finding" or alert.p_breach is None:
        return "Unknown"
    return "Likely" if alert.p_breach > LIKELY_FROM else "Possible"


def _coarse_reason(alert: Alert) -> str:
    """Why it was taken back, without the ids and numbers that its reason may hold."""
    if alert.what != "finding":
        return "the source is heard again"
    return "with what came in since it is no likely breach"


def _say(parent: ElementTree.Element, name: str, text: str) -> None:
    # XML has no way to write control characters.
    ElementTree.SubElement(parent, name).text = "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def _moment(at: datetime) -> str:
    """A time as the standard has it: to the second, UTC as -00:00, never Z."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}-00:00"


def _word(text: str) -> str:
    """Without what the standard forbids in identifiers: blanks, commas, < and &."""
    return "".join("-" if c in " ,<&\t\n" else c for c in text)
