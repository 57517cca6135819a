"""Alerts: what the watch is told, and is told again when it changes or is taken back.

Every state of an alert is a row of the journal before anybody hears of it, so a restart tells nothing twice. An
alert is about one finding's clause and subject, or about one source's silence; it keeps its id when the same evidence
is fused into an incident of another id.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

from truceline.errors import NotFoundError
from truceline.finding import ALERT
from truceline.observation import ID, TIME
from truceline.serve.service import Alert, Bus, Gate

#: Of a probability, before an alert is told anew: less is noise of one more observation.
STEP = 0.1
#: An alert is taken back only when its probability is so far below the limit: else it would flicker.
MARGIN = 0.05

#: A finding as alerts look at it: one row for each clause and subject, of the reading in which it is likeliest.
CANDIDATES = pa.schema(
    [
        pa.field("clause", pa.string(), nullable=False),
        pa.field("subject_id", ID, nullable=False),
        pa.field("finding_id", ID, nullable=False),
        ("case_id", ID),
        ("severity", pa.string()),
        pa.field("p_breach", pa.float32(), nullable=False),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("at", TIME),
        pa.field("sentence", pa.string(), nullable=False),
    ]
)


class Became(msgspec.Struct, frozen=True):
    """What the picture says of an alert's finding."""

    subject: bytes | None  # that it is about; None: the picture does not know the finding, nor did it before
    p_breach: float | None = None  # now, in the likeliest reading; None: there is no such finding any more
    heirs: list[bytes] = []  # subjects that its evidence is behind now
    within: bool = True  # whether the picture that was looked at reaches back so far


class Alerts:
    """The alerts of a running mission.

    Parameters
    ----------
    rows
        All rows of kind `alert` that the journal has; None: none.
    """

    def __init__(
        self, gate: Gate, bus: Bus, clock: Callable[[], datetime], rows: pa.Table | None = None, limit: float = 0.5
    ) -> None:
        self.gate, self.bus, self.clock, self.limit = gate, bus, clock, limit
        self._alerts: dict[bytes, Alert] = {}
        for row in rows.select([n for n in ALERT.names if n != "leaf"]).to_pylist() if rows is not None else ():
            self._take(row)

    # What there is

    def listed(self, state: str | None = None, limit: int = 200) -> list[Alert]:
        """The newest first; `state` one of the journal's, or "standing": all that were not taken back."""
        wanted = [
            one
            for one in self._alerts.values()
            if state is None or one.state == state or (state == "standing" and one.standing)
        ]
        return sorted(wanted, key=lambda one: (one.received_at, one.alert_id), reverse=True)[:limit]

    def get(self, alert_id: bytes) -> Alert:
        """One.

        Raises
        ------
        NotFoundError
            When there is none of that id.
        """
        if alert_id not in self._alerts:
            raise NotFoundError(f"there is no alert {alert_id.hex()}")
        return self._alerts[alert_id]

    def watched(self) -> list[bytes]:
        """The findings of standing alerts: `hold` needs to know what became of each."""
        return [one.finding_id for one in self._alerts.values() if one.standing and one.finding_id is not None]

    # What changes them

    async def acknowledge(self, alert_id: bytes, by: str, text: str | None = None) -> Alert:
        """Somebody has seen it. Twice is once; what was taken back can be acknowledged too, and stays taken back.

        Raises
        ------
        NotFoundError
            When there is none of that id.
        """
        alert = self.get(alert_id)
        if alert.acknowledged_by is None:
            await self._tell([self._row(alert, "acknowledged", by=by, reason=text or None)])
        return self.get(alert_id)

    async def hold(self, candidates: pa.Table, became: Mapping[bytes, Became], since: datetime) -> None:
        """Hold the standing alerts against the picture's likely breaches: raise, change, take back.

        Parameters
        ----------
        candidates
            Rows of `CANDIDATES`, at the limit less `MARGIN` and above.
        became
            What the picture says of the watched findings; of one that is not named nothing is concluded.
        since
            What happened before then raises nothing: it is for the queue, not for the watch.
        """
        now = {(row["clause"], row["subject_id"]): row for row in candidates.to_pylist()}
        rows: list[dict[str, Any]] = []
        taken: set[tuple[str | None, bytes | None]] = set()
        standing = [one for one in self._alerts.values() if one.standing and one.finding_id in became]
        for alert in sorted(standing, key=lambda one: one.raised_at):
            what = became[alert.finding_id or b""]
            key = (alert.clause, what.subject)
            heir = next(((alert.clause, to) for to in what.heirs if (alert.clause, to) in now), None)
            if key in now and key not in taken:
                taken.add(key)
                rows += self._changed(alert, now[key])
            elif heir is not None and heir not in taken and key not in now:  # the same evidence under another id
                taken.add(heir)
                rows.append(self._bound(alert, now[heir], "its evidence was fused anew, with what came in since"))
            elif key in taken or heir in taken:
                rows.append(self._row(alert, "withdrawn", reason="its evidence is one incident with another alert's"))
            elif what.within:
                rows.append(self._row(alert, "withdrawn", reason=_why(what, self.limit)))
        for key, row in now.items():
            late = row["at"] is not None and row["at"] < since
            if key not in taken and row["p_breach"] >= self.limit and not late:
                rows.append(self._raised(row))
        await self._tell(rows)

    async def hear(self, sources: Iterable[Mapping[str, Any]]) -> None:
        """Hold the board of sources (`Gate.sources`) against the standing alerts of silence."""
        rows: list[dict[str, Any]] = []
        for source in sources:
            alert_id = _identity("silence", source["id"].encode())
            alert = self._alerts.get(alert_id)
            silent = source.get("state") == "silent"
            if silent and (alert is None or not alert.standing):
                rows.append(self._silent(alert_id, source))
            elif not silent and alert is not None and alert.standing:
                rows.append(self._row(alert, "withdrawn", reason="it is heard again"))
        await self._tell(rows)

    def _silent(self, alert_id: bytes, source: Mapping[str, Any]) -> dict[str, Any]:
        since = source.get("silent_since") or source.get("last_received_at")
        since = datetime.fromisoformat(since) if isinstance(since, str) else since
        told = f" since {since:%d %B %H:%M} UTC" if since is not None else ""
        sentence = f"Nothing has come from source {source['id']}{told}: what it would have seen is not seen."
        return self._row(None, "raised", alert_id=alert_id, what="silence", source=source["id"], at=since,
                         sentence=sentence)  # fmt: skip

    def _raised(self, row: Mapping[str, Any]) -> dict[str, Any]:
        alert_id = _identity("finding", row["clause"].encode(), row["subject_id"])
        while alert_id in self._alerts and self._alerts[alert_id].standing:  # bound to other evidence since
            alert_id = _identity("again", alert_id)
        reason = "it was taken back before" if alert_id in self._alerts else None
        return self._row(None, "raised", alert_id=alert_id, what="finding", reason=reason, **_known(row))

    def _changed(self, alert: Alert, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A row when what is said of it is otherwise than what was told."""
        why = []
        if row["severity"] != alert.severity:
            why.append(f"it is {row['severity']}, not {alert.severity}")
        if abs(row["p_breach"] - (alert.p_breach or 0.0)) >= STEP:
            why.append(f"the probability of breach is {row['p_breach']:.2f}, not {alert.p_breach or 0.0:.2f}")
        return [self._bound(alert, row, "; ".join(why))] if why else []

    def _bound(self, alert: Alert, row: Mapping[str, Any], reason: str) -> dict[str, Any]:
        return self._row(alert, "changed", reason=reason, **_known(row))

    def _row(self, alert: Alert | None, state: str, **other: Any) -> dict[str, Any]:
        """A row of the journal: what the alert says, but for what is otherwise."""
        row: dict[str, Any] = {} if alert is None else {name: getattr(alert, name, None) for name in ALERT.names}
        row |= {"reason": None, "by": None} | other
        return row | {"state": state, "received_at": self.clock(), "release": "mission"}

    async def _tell(self, rows: Sequence[dict[str, Any]]) -> None:
        """Journal, then remember and tell. When the journal refuses, nothing has changed."""
        if not rows:
            return
        names = [name for name in ALERT.names if name != "leaf"]
        columns = {name: pa.array([row.get(name) for row in rows], ALERT.field(name).type) for name in names}
        await self.gate.record("alert", pa.table(columns))
        for row in rows:
            alert = self._take(row)
            self.bus.publish("alert", alert.content())

    def _take(self, row: Mapping[str, Any]) -> Alert:
        """Remember a row."""
        before = self._alerts.get(row["alert_id"])
        state = row["state"]
        known: dict[str, Any] = {name: row.get(name) for name in Alert.__struct_fields__ if name in ALERT.names}
        anew = before is None or (state == "raised" and not before.standing)
        raised_at = row["received_at"] if before is None or anew else before.raised_at
        seen = (None, None) if before is None or anew else (before.acknowledged_by, before.acknowledged_at)
        if state == "acknowledged":
            seen = (row.get("by"), row["received_at"])
            if before is not None and not before.standing:
                known["state"] = "withdrawn"
        alert = Alert(**known, raised_at=raised_at, acknowledged_by=seen[0], acknowledged_at=seen[1])
        self._alerts.pop(alert.alert_id, None)  # the newest last
        self._alerts[alert.alert_id] = alert
        return alert


def _identity(kind: str, *parts: bytes) -> bytes:
    """16 bytes of SHA-256 over what an alert is about."""
    whole = hashlib.sha256(b"alert")
    for part in (kind.encode(), *parts):
        whole.update(len(part).to_bytes(4, "big") + part)
    return whole.digest()[:16]


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a candidate says of an alert."""
    return {name: row[name] for name in CANDIDATES.names if name != "subject_id"}


def _why(what: Became, limit: float) -> str:
    if what.p_breach is not None:
        return f"the probability of breach fell to {what.p_breach:.2f}, below {limit:.2f}"
    if what.heirs:
        into = ", ".join(one.hex()[:10] for one in what.heirs[:3])
        return f"its evidence was fused anew, into {into}, which is no likely breach"
    return "with what came in since, nothing of it is held against the clause any more"
