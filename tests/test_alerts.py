"""Alerts: raised, changed, acknowledged, taken back and why; each state is journalled before anybody hears of it."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

import a_service
from truceline.errors import NotFoundError, StoreError
from truceline.finding import ALERT
from truceline.observation import ID
from truceline.serve.alerts import CANDIDATES, Alerts, Became
from truceline.serve.bus import Ring
from truceline.store.kinds import conform

NOW = a_service.NOW
SINCE = NOW - timedelta(hours=48)


class Keeping:
    """A gate that keeps rows as the journal would, and can refuse."""

    def __init__(self) -> None:
        self.rows: list[pa.Table] = []
        self.full = False

    async def record(self, kind: str, rows: pa.Table) -> None:
        if self.full:
            raise StoreError("no room on the disk")
        self.rows.append(conform(kind, rows))

    def table(self) -> pa.Table:
        """What a restart would read."""
        return pa.concat_tables([ALERT.empty_table(), *self.rows], promote_options="default").select(ALERT.names)


class Watch:
    """Alerts with a clock that goes a minute a look."""

    def __init__(self, gate: Keeping | None = None) -> None:
        self.gate, self.bus, self.minutes = gate or Keeping(), Ring(), 0
        self.alerts = Alerts(self.gate, self.bus, self.clock, self.gate.table() if gate else None, 0.5)  # type: ignore[arg-type]

    def clock(self) -> datetime:
        return NOW + timedelta(minutes=self.minutes)

    def hold(self, *rows: dict[str, Any], **became: Became) -> None:
        """The picture shows these, and says of findings (by name) what became of them."""
        self.minutes += 1
        table = pa.Table.from_pylist(list(rows), CANDIDATES)
        asyncio.run(self.alerts.hold(table, {an_id(name): what for name, what in became.items()}, SINCE))

    def told(self) -> list[tuple[str, str | None]]:
        """State and reason of each message, in order."""
        return [(m.content["state"], m.content["reason"]) for m in self.bus._kept]


def an_id(name: str) -> bytes:
    return name.encode().ljust(16, b".")


def a_candidate(finding: str = "f", subject: str = "s", p: float = 0.8, **other: Any) -> dict[str, Any]:
    """A likely breach of clause 1, ten minutes ago."""
    known = {"clause": "1", "subject_id": an_id(subject), "finding_id": an_id(finding), "p_breach": p}
    known |= {"severity": "serious", "lon": 39.0, "lat": 49.0, "at": NOW - timedelta(minutes=10), "sentence": "A shot."}
    return known | other


def still(subject: str = "s", p: float = 0.8) -> Became:
    """The finding is still there."""
    return Became(an_id(subject), p)


class TestFindings:
    def test_a_likely_breach_is_told_once(self):
        watch = Watch()
        watch.hold(a_candidate())
        watch.hold(a_candidate(), f=still())
        watch.hold(a_candidate(p=0.82), f=still(p=0.82))
        assert watch.told() == [("raised", None)]

    def test_below_the_limit_nothing_is_told(self):
        """Candidates reach a little below it, so that what stands does not flicker."""
        watch = Watch()
        watch.hold(a_candidate(p=0.47))
        assert watch.told() == []

    def test_what_happened_long_ago_is_for_the_queue_and_not_for_the_watch(self):
        watch = Watch()
        watch.hold(a_candidate(at=SINCE - timedelta(seconds=1)))
        assert watch.told() == []

    def test_a_change_worth_telling_says_what_changed(self):
        watch = Watch()
        watch.hold(a_candidate(p=0.6))
        watch.hold(a_candidate(p=0.75, severity="grave"), f=still())
        assert watch.told()[1] == (
            "changed",
            "it is grave, not serious; the probability of breach is 0.75, not 0.60",
        )

    def test_it_is_taken_back_when_it_falls_below(self):
        watch = Watch()
        watch.hold(a_candidate())
        watch.hold(f=still(p=0.31))
        assert watch.told()[1] == ("withdrawn", "the probability of breach fell to 0.31, below 0.50")

    def test_a_little_below_it_stands(self):
        """Taken back at 0.45, not at 0.49: else each new observation would tell it anew."""
        watch = Watch()
        watch.hold(a_candidate(p=0.52))
        watch.hold(a_candidate(p=0.47), f=still(p=0.47))
        assert [one.state for one in watch.alerts.listed()] == ["raised"]

    def test_it_is_taken_back_when_nothing_of_it_is_left(self):
        watch = Watch()
        watch.hold(a_candidate())
        watch.hold(f=Became(an_id("s")))
        state, reason = watch.told()[1]
        assert state == "withdrawn"
        assert "nothing of it is held" in reason

    def test_the_same_evidence_under_another_id_is_the_same_alert(self):
        """An earlier observation came late: the incident has another id, and the watch is not told of a new one."""
        watch = Watch()
        watch.hold(a_candidate())
        (alert,) = watch.alerts.listed()
        watch.hold(a_candidate("g", "t"), f=Became(an_id("s"), None, [an_id("t")]))
        (changed,) = watch.alerts.listed()
        assert (changed.alert_id, changed.state) == (alert.alert_id, "changed")
        assert changed.finding_id == an_id("g")
        watch.hold(a_candidate("g", "t"), g=still("t"))
        assert [state for state, _ in watch.told()] == ["raised", "changed"]

    def test_two_that_turn_out_to_be_one(self):
        """The older stands, the younger is taken back and says why."""
        watch = Watch()
        watch.hold(a_candidate("f", "s"))
        watch.hold(a_candidate("f", "s"), a_candidate("g", "t"), f=still())
        watch.hold(a_candidate("f", "s"), f=still(), g=Became(an_id("t"), None, [an_id("s")]))
        assert watch.told()[-1] == ("withdrawn", "its evidence is one incident with another alert's")
        assert [one.finding_id for one in watch.alerts.listed("standing")] == [an_id("f")]

    def test_what_the_picture_does_not_reach_stands(self):
        """Outside the window nothing was drawn anew, so nothing is concluded."""
        watch = Watch()
        watch.hold(a_candidate())
        watch.hold(f=Became(an_id("s"), within=False))
        watch.hold()
        assert watch.told() == [("raised", None)]

    def test_what_comes_back_is_raised_again_and_says_so(self):
        watch = Watch()
        watch.hold(a_candidate())
        asyncio.run(watch.alerts.acknowledge(watch.alerts.listed()[0].alert_id, "olena"))
        watch.hold(f=still(p=0.2))
        watch.hold(a_candidate())
        assert watch.told()[-1] == ("raised", "it was taken back before")
        (alert,) = watch.alerts.listed()
        assert alert.acknowledged_by is None


class TestPeople:
    def test_acknowledged_it_still_stands(self):
        watch = Watch()
        watch.hold(a_candidate())
        (alert,) = watch.alerts.listed()
        done = asyncio.run(watch.alerts.acknowledge(alert.alert_id, "olena", "patrol 3 is on its way"))
        assert (done.state, done.acknowledged_by, done.reason) == ("acknowledged", "olena", "patrol 3 is on its way")
        assert watch.alerts.listed("standing") == [done]

    def test_twice_is_once(self):
        watch = Watch()
        watch.hold(a_candidate())
        (alert,) = watch.alerts.listed()
        first = asyncio.run(watch.alerts.acknowledge(alert.alert_id, "olena"))
        assert asyncio.run(watch.alerts.acknowledge(alert.alert_id, "vera")) == first
        assert len(watch.gate.rows) == 2

    def test_a_change_keeps_who_acknowledged_it(self):
        watch = Watch()
        watch.hold(a_candidate())
        asyncio.run(watch.alerts.acknowledge(watch.alerts.listed()[0].alert_id, "olena"))
        watch.hold(a_candidate(p=0.95), f=still())
        (alert,) = watch.alerts.listed()
        assert (alert.state, alert.acknowledged_by) == ("changed", "olena")

    def test_what_there_is_not_cannot_be_acknowledged(self):
        with pytest.raises(NotFoundError):
            asyncio.run(Watch().alerts.acknowledge(bytes(16), "olena"))


class TestSilence:
    def test_a_source_that_falls_silent_is_told_and_so_is_its_return(self):
        watch = Watch()
        board = {"id": "cameras", "state": "silent", "silent_since": "2031-03-15T14:00:00+00:00"}
        asyncio.run(watch.alerts.hear([board]))
        asyncio.run(watch.alerts.hear([board]))
        asyncio.run(watch.alerts.hear([board | {"state": "live"}]))
        assert watch.told() == [("raised", None), ("withdrawn", "it is heard again")]
        (alert,) = watch.alerts.listed()
        assert "cameras since 15 March 14:00 UTC" in alert.sentence
        assert alert.source == "cameras"


class TestJournal:
    def test_a_restart_raises_nothing_twice(self):
        """What was told is in the journal; whoever reads it knows the same, acknowledgements and all."""
        watch = Watch()
        watch.hold(a_candidate("f", "s"), a_candidate("g", "t"))
        asyncio.run(watch.alerts.acknowledge(watch.alerts.listed()[0].alert_id, "olena", "seen"))
        watch.hold(a_candidate("f", "s"), f=still(), g=still("t", 0.1))
        again = Watch(watch.gate)
        assert again.alerts.listed() == watch.alerts.listed()
        again.hold(a_candidate("f", "s"), f=still())
        assert again.told() == []

    def test_what_cannot_be_journalled_is_not_told(self):
        """A full disk: nobody hears of it, and it is told once there is room."""
        watch = Watch()
        watch.gate.full = True
        with pytest.raises(StoreError):
            watch.hold(a_candidate())
        assert watch.told() == []
        assert watch.alerts.listed() == []
        watch.gate.full = False
        watch.hold(a_candidate())
        assert watch.told() == [("raised", None)]

    def test_an_alert_is_the_missions_whatever_it_is_of(self):
        """Law 6: what is released goes out coarsened and late, and not as an alert."""
        watch = Watch()
        watch.hold(a_candidate())
        asyncio.run(watch.alerts.hear([{"id": "press", "state": "silent", "release": "public"}]))
        assert set(watch.gate.table()["release"].to_pylist()) == {"mission"}
        assert {message.label for message in watch.bus._kept} == {"mission"}

    def test_ids_are_sixteen_bytes(self):
        watch = Watch()
        watch.hold(a_candidate())
        assert watch.gate.table()["alert_id"].type == ID
