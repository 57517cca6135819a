"""The cases of a running mission: as they are now, and the one way in which people's actions come to be.

Actions and verdicts are read from the journal once and kept in step with what is journalled after; one at a time,
because what may be done depends on what was done before it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from truceline import casework, desk
from truceline.casework import ACTIONS, CaseState
from truceline.errors import DeniedError, NotFoundError
from truceline.finding import ACTION
from truceline.intake import JOURNAL
from truceline.observation import ID
from truceline.pipeline import BOOK
from truceline.release import COARSE, Principal, horizon, label_of, visible
from truceline.rules.cases import case_of, evidence
from truceline.serve.access import may
from truceline.serve.query import query_of
from truceline.serve.service import Service, Snapshot
from truceline.store import Book, Journal

#: What a sender may fill; the rest is known.
_SAID = ("text", "assignee", "label", "about", *(name for name in ACTION.names if name.startswith("attachment_")))
_ROWS = pa.schema([field for field in ACTION if field.name != "leaf"])
_EVER = datetime.min.replace(tzinfo=UTC)
_FROM_FINDING = {"opened_at": "first_breach_from"} | {
    name: name for name in ("clause", "subject_id", "p_breach", "severity", "release")
}


class Docket:
    """The cases and what was done about them."""

    def __init__(self, service: Service, actions: pa.Table, verdicts: pa.Table) -> None:
        self.service, self.actions, self.verdicts = service, actions, verdicts
        self._writing = asyncio.Lock()
        self._done: dict[bytes, dict[str, Any]] = {row["action_id"]: row for row in actions.to_pylist()}
        self._last = max(filter(None, (pc.max(t["received_at"]).as_py() for t in (actions, verdicts))), default=_EVER)
        self._of: pa.Table | None = None  # the cases of the snapshot that `_states` were folded over
        self._states: dict[bytes, CaseState] = {}
        self._renamed: tuple[object, dict[bytes, bytes]] = (None, {})
        self._folding = asyncio.Lock()

    async def states(self) -> dict[bytes, CaseState]:
        """Every case by its id, as it is now; to be read only."""
        async with self._folding:
            snapshot = self.service.live.snapshot
            while self._of is not snapshot.tables["cases"]:
                if self._of is not None and self._of.equals(snapshot.tables["cases"]):
                    self._of = snapshot.tables["cases"]  # the picture is another one, its cases are not
                    break
                rows = self.actions.num_rows, self.verdicts.num_rows
                folded = await asyncio.to_thread(self._fold, snapshot, self.actions, self.verdicts)
                if rows == (self.actions.num_rows, self.verdicts.num_rows):  # else somebody acted meanwhile
                    self._of, self._states = snapshot.tables["cases"], folded
                snapshot = self.service.live.snapshot
        return self._states

    async def state(self, identifier: str) -> CaseState:
        """The case of that id, or of the finding of that id, whether it was opened or not.

        Raises
        ------
        NotFoundError
            When there is none; also when what was given is no id.
        """
        whole = whole_id(identifier)
        states = await self.states()
        if whole in states:
            return states[whole]
        found = await asyncio.to_thread(self._of_finding, self.service.live.snapshot, whole)
        return states.get(found.case_id, found)

    async def seen(self, principal: Principal, identifier: str) -> CaseState:
        """The case of that id, or of that finding, where the principal sees any of it; by the ids that it knows.

        Raises
        ------
        NotFoundError
            When there is none, or none for these eyes; nothing tells which.
        """
        if label_of(principal) == "mission":
            return await self.state(identifier)
        query = query_of(self.service)
        for state in (await self.states()).values():
            if state.release is not None and shown(state, principal, self.service) is not None:
                for one in (state.case_id, *(state.row["findings"] or ())):
                    if query.shown_id(one, principal) == identifier:
                        return state
        raise NotFoundError(_NO_CASE)

    async def act(
        self, principal: Principal, asked: Sequence[Mapping[str, Any]]
    ) -> list[tuple[int, str, CaseState | None]]:
        """Take actions, all that can be with one write; durable when this returns.

        Parameters
        ----------
        asked
            Each with `case` (id of a case or finding), `action_id`, `what` and what it says: columns of `ACTION`.

        Returns
        -------
        For each, in order: 200 and the case as it is then, or what is wrong: 403, 404, 409 or 422, and a sentence. One
        that was taken before is 200 and does nothing.
        """
        async with self._writing:
            changed: dict[bytes, CaseState] = {}
            rows: list[dict[str, Any]] = []
            results: list[tuple[int, str, CaseState | None]] = []
            for one in asked:
                try:
                    row, state, again = await self._row(principal, one, changed, rows)
                except NotFoundError as error:
                    results.append((404, str(error), None))
                    continue
                except DeniedError as error:
                    results.append((403, str(error), None))
                    continue
                why = None if again else casework.refusal(state, row)
                if why is not None:
                    alone = why == casework.ALONE.format(by=row["by"])
                    results.append((403 if alone else 409 if one["what"] in ACTIONS else 422, why, None))
                    continue
                if not again:
                    state = changed.setdefault(state.case_id, _copied(state))
                    casework.step(state, row)
                    rows.append(row)
                results.append((200, "taken before" if again else "", state))
            if rows:
                table = pa.Table.from_pylist(rows, _ROWS)
                await self.service.gate.record("action", table)
                self.actions = pa.concat_tables([self.actions, _with_leaf(table)])
                self._done |= {row["action_id"]: row for row in rows}
                self._states |= changed
                for row in rows:
                    self._tell(changed[row["case_id"]], row["what"], row["by"])
            return [(code, said, changed.get(one.case_id, one) if one else None) for code, said, one in results]

    async def sign(self, principal: Principal, identifier: str, decision: str, reason: str) -> CaseState:
        """Sign a verdict with the person's key; durable, and the case says so, when this returns.

        Raises
        ------
        NotFoundError, DeniedError, StoreError
            When there is no such case; when it is closed or no finding leads to it any more; when it cannot be signed.
        """
        async with self._writing:
            state = await self.state(identifier)
            if state.state not in casework.VERDICT.states:
                raise DeniedError(f"the case is {state.state}: reopen it before another verdict is signed")
            if state.gone:
                raise DeniedError("no finding of the picture leads to this case any more: there is nothing to decide")
            snapshot = self.service.live.snapshot
            row = state.row | {"finding_id": (state.row["findings"] or [None])[0]}
            _, signed = await asyncio.to_thread(
                desk.sign,
                self.service.folder,
                row,
                _of_cases(snapshot),
                decision,
                reason=reason,
                by=principal.name,
                at=self._now(),
                edition=snapshot.edition.number if snapshot.edition is not None else None,
                case_id=state.case_id,
            )
            await self.service.gate.record("verdict", signed)
            self.verdicts = pa.concat_tables([self.verdicts, signed])
            after = _copied(state)
            casework.step(after, signed.to_pylist()[0])
            self._states[after.case_id] = after
            self._tell(after, decision, principal.name)
            return after

    async def then(self, identifier: str, at: datetime) -> CaseState:
        """A case as it was known at a time: of the edition that was the newest then, by what had been done by then.

        Raises
        ------
        NotFoundError
            When there was no such case then.
        """
        whole = whole_id(identifier)
        past = await asyncio.to_thread(self._then, at)
        if whole not in past:
            raise NotFoundError(_NO_CASE)
        return past[whole]

    def _then(self, at: datetime) -> dict[bytes, CaseState]:
        book = Book(self.service.folder / BOOK)
        made = [edition for edition in book.editions() if edition.made_at <= at]
        cases = book.table("cases", made[-1].number) if made else casework.NO_CASES
        return casework.fold(cases, self.actions, self.verdicts, at)

    async def _row(
        self,
        principal: Principal,
        one: Mapping[str, Any],
        changed: Mapping[bytes, CaseState],
        rows: Sequence[Mapping[str, Any]],
    ) -> tuple[dict[str, Any], CaseState, bool]:
        """What is journalled of an action that is asked for, the case, and whether it was taken before.

        Raises
        ------
        NotFoundError, DeniedError
            When the case is not there, or not for this principal's eyes; when the action is not this principal's.
        """
        state = await self.seen(principal, one["case"])
        state = changed.get(state.case_id, state)
        what = one["what"]
        if what in ACTIONS and not may(principal, ACTIONS[what].privilege):
            raise DeniedError(f"{principal.name} ({principal.role}) may not {ACTIONS[what].privilege}")
        row: dict[str, Any] = dict.fromkeys(_ROWS.names) | {name: one.get(name) for name in _SAID}
        row |= {"action_id": one["action_id"], "case_id": state.case_id, "clause": state.row["clause"], "what": what}
        row |= {"by": principal.name, "role": principal.role, "party": principal.party, "release": "mission"}
        row["finding_id"] = (state.row["findings"] or [None])[0]
        known = self._done.get(one["action_id"]) or next((r for r in rows if r["action_id"] == one["action_id"]), None)
        if known is not None:
            same = all(known[name] == row[name] for name in ("case_id", "what", "by", *_SAID))
            if not same:
                raise DeniedError("another action has this action_id already; choose a new one")
            return row, state, True
        row["received_at"] = self._now()
        return row, state, False

    def _now(self) -> datetime:
        """Later than anything before it, whatever the clock does: what people did has an order."""
        self._last = max(self.service.clock(), self._last + timedelta(microseconds=1))
        return self._last

    def _tell(self, state: CaseState, what: str, by: str) -> None:
        content = {"case_id": state.case_id.hex(), "clause": state.row["clause"], "state": state.state}
        self.service.bus.publish("case", content | {"what": what, "by": by})

    def _fold(self, snapshot: Snapshot, actions: pa.Table, verdicts: pa.Table) -> dict[bytes, CaseState]:
        cases = snapshot.tables["cases"]
        folded = casework.fold(cases, actions, verdicts)
        lost = frozenset(key for key, state in folded.items() if state.gone)
        if lost:
            wanted = (snapshot.edition, lost)
            if self._renamed[0] != wanted:  # over all observations: not for every second's picture
                self._renamed = wanted, casework.renamed(cases, _behind(snapshot), set(lost))
            if self._renamed[1]:
                folded = casework.fold(cases, actions, verdicts, renamed=self._renamed[1])
            _found_again([state for state in folded.values() if state.gone], snapshot.tables["findings"])
        return folded

    def _of_finding(self, snapshot: Snapshot, finding_id: bytes) -> CaseState:
        findings = snapshot.tables["findings"]
        rows = findings.filter(pc.equal(findings["finding_id"], pa.scalar(finding_id, ID))).to_pylist()
        if not rows:
            raise NotFoundError(_NO_CASE)
        tables = _of_cases(snapshot)
        case_id, _ = case_of(rows[0], *tables.values())
        row = dict.fromkeys(tables["cases"].schema.names) | {"case_id": case_id, "findings": [finding_id]}
        state = CaseState(case_id, row, gone=True)
        _found_again([state], findings)
        return state


_NO_CASE = "there is no such case or finding"


async def docket_of(service: Service) -> Docket:
    """The docket of a running mission, read from the journal when it is first asked for."""
    opening = service.kept.setdefault("docket", None)
    if opening is None:
        opening = service.kept["docket"] = asyncio.ensure_future(_opened(service))
    try:
        docket: Docket = await asyncio.shield(opening)
    except BaseException:
        if opening.done() and service.kept.get("docket") is opening:  # it may be read another time
            service.kept["docket"] = None
        raise
    return docket


async def _opened(service: Service) -> Docket:
    def read() -> tuple[pa.Table, pa.Table]:
        with Journal(service.folder / JOURNAL) as journal:
            return journal.table("action"), journal.table("verdict")

    return Docket(service, *await asyncio.to_thread(read))


def whole_id(digits: str) -> bytes:
    """The 16 bytes of an id.

    Raises
    ------
    NotFoundError
        When it is none.
    """
    try:
        whole = bytes.fromhex(digits)
    except ValueError:
        whole = b""
    if len(whole) != 16 or digits != whole.hex():
        raise NotFoundError(_NO_CASE)
    return whole


def shown(state: CaseState, principal: Principal, service: Service) -> Literal["whole", "released"] | None:
    """How much of a case the principal sees: everything, the text that was released, nothing.

    What was released is a day old before parties and public see it; what was withdrawn stays to be seen as such by
    those who could see it.
    """
    label = label_of(principal)
    if label == "mission":
        return "whole"
    out = state.release
    if out is None or not visible(out.label, principal):
        return None
    if label in COARSE:
        ended = ended_at(state, service.live.snapshot)
        if ended is None or ended > horizon(out.withdrawn_at or service.clock()):
            return None
    return "released"


def ended_at(state: CaseState, snapshot: Snapshot) -> datetime | None:
    """The latest time of what a case is about; None: not known."""
    subject = state.row["subject_id"]
    for name, key in (("incidents", "incident_id"), ("tracks", "track_id")):
        rows = snapshot.tables[name]
        found = rows.filter(pc.equal(rows[key], pa.scalar(subject, ID)))["last_at"]
        if len(found):
            return found[0].as_py()  # type: ignore[no-any-return]
    return state.row["opened_at"]  # type: ignore[no-any-return]


def _found_again(states: Sequence[CaseState], findings: pa.Table) -> None:
    """Give cases that were never opened the columns of the finding that they are about, where it is in the picture."""
    of = {(state.row["findings"] or [None])[0]: state for state in states}
    wanted = pa.array([key for key in of if key is not None], ID)
    for row in findings.filter(pc.is_in(findings["finding_id"], wanted)).to_pylist():
        state = of[row["finding_id"]]
        state.row |= {name: row[source] for name, source in _FROM_FINDING.items()}
        state.gone, state.since = False, state.since or row["first_breach_from"]


def _of_cases(snapshot: Snapshot) -> dict[str, pa.Table]:
    """What tells of a case and of the observations behind it, as `case_of` takes it."""
    tables = snapshot.tables
    return {name: tables[name] for name in ("cases", "incidents", "events")} | {"associations": tables["ties"]}


def _behind(snapshot: Snapshot) -> dict[bytes, list[bytes]]:
    """The observations behind each incident that a case is about."""
    tables = snapshot.tables
    behind = evidence(tables["incidents"], tables["events"], tables["ties"])
    subjects = set(tables["cases"]["subject_id"].to_pylist())
    return {
        incident: behind.bytes_of(behind.of(number))
        for number, incident in enumerate(behind.incidents.to_pylist())
        if incident in subjects
    }


def _copied(state: CaseState) -> CaseState:
    return replace(state, disputed_by=[*state.disputed_by], history=[*state.history])


def _with_leaf(rows: pa.Table) -> pa.Table:
    """As the journal has them, but for the leaf: nothing reads it here."""
    leaf = pa.array([bytes(32)] * rows.num_rows, ACTION.field("leaf").type)
    return rows.append_column(ACTION.field("leaf"), leaf)
