"""What a party must do by a time: orders issued, discipline notified, prisoners returned, access given.

| known of the duty                                   | concluded                                          |
|-----------------------------------------------------|----------------------------------------------------|
| the agreement sets no time for it                   | null                                               |
| it is due after the picture ends                    | null                                               |
| nothing in the picture, and no notice, speaks of it | null: no data conclude nothing                     |
| a notice of the party before it was due             | kept: 0                                            |
| a report of it, there, before it was due            | kept as likely as the report, by each party: it names none |
| spoken of, but no notice or report in time          | breach, times how surely it would have been known  |

Evidence is a notice of the party on the clause, or an event of the clause's terms (`duty` when it names none) in
its zone; access that was denied or delayed is none. The party is the one the clause binds, so it is named.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from truceline.agreement import Assumption, Clause
from truceline.observation import ID, TIME
from truceline.picture import EVENTS, INCIDENTS
from truceline.rules.factors import Factor, Held, Terms, seconds, share_of_interval
from truceline.rules.subjects import Floats, Subjects, identity

WHAT = ("duty",)
WEIGHT: Mapping[str, Assumption] = {
    "access.denied": Assumption(value=0.0, source="access denied is no access given"),
    "access.delayed": Assumption(value=0.0, source="access delayed is not access given in time"),
}
WHO = ""

#: That a duty done would have been notified or reported where anything of that duty is.
_REPORTED = Assumption(value=0.9, source="a duty done is mostly made known where others of its kind are")
_NOT_GIVEN = ("denied", "delayed", "refused")


def subjects(clause: Clause, terms: Terms, picture: Subjects) -> Subjects:
    """One subject, and one row, for every party that the clause binds; its time is when the duty is due."""
    parties = sorted(clause.parties)
    due = [due_s(clause, terms, party) for party in parties]
    times = pa.array([None if not np.isfinite(s) else int(s * 1e6) for s in due], pa.int64()).cast(TIME)
    ids = pa.array([identity("duty", clause.id, party) for party in parties], ID)
    n = len(parties)
    columns = {"event_id": ids, "incident_id": ids, "at": times, "at_from": times, "at_until": times}
    columns |= {"what": pa.array(["duty"] * n)}
    events = pa.table({f.name: columns.get(f.name, pa.nulls(n, f.type)) for f in EVENTS}, EVENTS)
    columns = {"incident_id": ids, "what": pa.array(["duty"] * n), "release": pa.array(["mission"] * n)}
    table = pa.table({f.name: columns.get(f.name, pa.nulls(n, f.type)) for f in INCIDENTS}, INCIDENTS)
    return Subjects("duty", ids, table, events, np.arange(n + 1), picture.frame)


def due_s(clause: Clause, terms: Terms, party: str) -> float:
    """When the duty is due, seconds since 1970; NaN where the agreement sets no time."""
    stated = clause.due.get(party) or clause.due.get("")
    if stated is None and clause.due_within_h is not None and np.isfinite(terms.starts_s):
        return terms.starts_s + clause.due_within_h * 3600
    return seconds(stated, np.nan)


def factors(held: Held) -> list[Factor]:
    """That it was not done in time, and that it would have been known had it been."""
    due, _ = held.subjects.interval_s
    spoken_of = bool(held.weights) or any(notice.clause == held.clause.id for notice in held.agreement.notice)
    done, late = np.zeros(len(due)), np.zeros(len(due))
    for i, party in enumerate(sorted(held.clause.parties)):
        if np.isnan(due[i]):
            continue
        notified = [
            seconds(n.starts, np.inf) for n in held.agreement.notice if n.clause == held.clause.id and n.party == party
        ]
        done[i] = max(_report_strength(held, due[i]).max(initial=0.0), float(any(s <= due[i] for s in notified)))
        late[i] = float(any(due[i] < s <= held.until_s for s in notified))
    why = np.where(np.isnan(due), 1, np.where(due >= held.until_s, 2, 0 if spoken_of else 3))
    reasons = (
        "",
        "the agreement sets no time for it",
        "it is due only after the picture ends",
        "nothing in the picture speaks of this duty, and no notice",
    )
    shown = (done > 0) | (late > 0)
    return [
        Factor(
            "not done in time",
            np.where(why > 0, np.nan, 1.0 - done),
            ("no notice or report of it in time", "notices and reports of it"),
            ("low", "medium"),
            shown.astype(np.int64),
            reasons,
            why,
        ),
        Factor(
            "would have been known",
            np.where(shown, 1.0, _REPORTED.value),
            (f"assumption: {_REPORTED.source}", "it was made known"),
            ("low", "medium"),
            shown.astype(np.int64),
        ),
    ]


def _report_strength(held: Held, before_s: float) -> Floats:
    """For each event of the picture, how likely it shows the duty done, where it had to be and before `before_s`."""
    rows = np.flatnonzero(held.kind_mass > 0)
    words, code = held.picture.coded("description")
    denied = np.array([any(word in text.lower() for word in _NOT_GIVEN) for text in words] + [False])
    rows = rows[~denied[code[rows]]]
    place, _ = held.inside((held.terms.zone,), rows)
    time = share_of_interval(held.picture, -np.inf, before_s)[rows]
    return np.asarray(held.kind_mass[rows] * np.nan_to_num(place) * np.nan_to_num(time))
