"""What moved on a day, in sentences: how many objects of which kind, and what they told beside where they went."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from truceline.observation import TIME
from truceline.places import listed
from truceline.report.saying import LIKELY, plural

#: What is told of one by one: silences, positions that cannot be, stops and meetings. Zones are the clauses' matter.
TOLD = (
    *("movement.dark", "movement.outage", "movement.impossible", "movement.twice", "movement.one_point"),
    *("movement.on_land", "movement.circle", "movement.stop", "movement.rendezvous", "jamming.position"),
)
#: As many sentences as fit a summary; the others are counted.
SENTENCES = 5

_NOUNS = {"vessel": "vessel", "aircraft": "aircraft", "uav": "drone", "ground": "vehicle", "weapon": "weapon system"}


def moved(picture: Mapping[str, pa.Table], begins: datetime, ends: datetime) -> list[str]:
    """Sentences on the objects of a period; none where nothing was tracked.

    Parameters
    ----------
    picture
        With `tracks` and `movements` (`picture.TRACKS`, `picture.MOVEMENTS`); absent ones are empty.
    begins, ends
        Of the reporting day; what reaches into it counts.
    """
    if "tracks" not in picture or not picture["tracks"].num_rows:
        return []
    tracks = _within(picture["tracks"], "first_at", "last_at", begins, ends)
    counts = Counter(_NOUNS.get(what.split(".")[0], "other object") for what in tracks["what"].to_pylist())
    if not counts:
        return []
    kinds = [plural(n, noun, noun if noun == "aircraft" else "") for noun, n in sorted(counts.items())]
    said = [f"Moving objects tracked: {listed(kinds)}."]
    told = _within(picture["movements"], "at_from", "at_until", begins, ends)
    told = told.filter(pc.and_(pc.is_in(told["what"], pa.array(TOLD)), pc.greater(told["confidence"], LIKELY)))
    told = told.sort_by([("confidence", "descending"), ("at_from", "ascending"), ("text", "ascending")])
    said += told["text"].to_pylist()[:SENTENCES]
    if told.num_rows > SENTENCES:
        said.append(f"{plural(told.num_rows - SENTENCES, 'more movement')} of this kind: see the table movements.")
    return said


def _within(rows: pa.Table, first: str, last: str, begins: datetime, ends: datetime) -> pa.Table:
    return rows.filter(
        pc.and_(pc.less(rows[first], pa.scalar(ends, TIME)), pc.greater_equal(rows[last], pa.scalar(begins, TIME)))
    )
