"""What may be said below the mission: rows made coarse, ids made opaque. Pure functions on tables.

A place is the middle of a cell of a kilometre of the theatre's plane, or the settlement that this middle lies in; a
time is an hour; a probability a tenth; a number below five is not told. All that is said of a row follows from these
alone (its words, its order, whether a filter takes it), so nothing finer can be worked out from an answer.
"""

import hmac
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.frame import Frame
from truceline.observation import ID, TIME, nullable, term, to_numpy
from truceline.places import Gazetteer

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Side of a cell: what is released is never finer.
CELL_M = 1_000.0
#: Below this a number could point at persons.
FEW = 5
#: Probabilities are told in steps of this. A probability of being inside a zone says how far off its border is, and
#: the probability of breach is a product of such.
STEP = 0.1

#: Where these are is where a party's forces are or fire from: the place of such a row is a precise origin of fire, or
#: a track's beginning. To parties and public they go out in released findings alone, at a settlement.
CUEING = (
    *("explosion.outgoing", "muzzle_flash", "projectile", "weapon", "ground", "uav", "air", "aircraft"),
    *("vessel", "movement"),
)
#: Words of the field's vocabulary for fire leaving a place.
_OUTGOING = ("outgoing", "in flight")


class Ground:
    """What places are coarsened against: the theatre's plane and the settlements of it."""

    def __init__(self, frame: Frame, gazetteer: Gazetteer) -> None:
        self.frame, self.gazetteer = frame, gazetteer

    def cells(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats, list[str | None]]:
        """The place of each point: longitude, latitude, words.

        The words and whether it is a settlement follow from the cell's middle, never from the point. NaN, NaN and
        "undetermined place" for NaN.
        """
        east, north = (np.floor(metres / CELL_M) for metres in self.frame.to_local(lon, lat))
        good = np.isfinite(east + north)
        cells, at = np.unique(np.stack([east[good], north[good]], axis=1), axis=0, return_inverse=True)
        at_lon, at_lat = self.frame.to_degrees(*((cells.T + 0.5) * CELL_M))
        words = self.gazetteer.words(at_lon, at_lat)
        named = [place for place, text in enumerate(words) if text.startswith("in ")]
        for place in named:
            at_lon[place], at_lat[place] = self._named(words[place][3:], at_lon[place], at_lat[place])
        out_lon, out_lat = np.full(len(east), np.nan), np.full(len(east), np.nan)
        out_lon[good], out_lat[good] = np.round(at_lon, 5)[at.ravel()], np.round(at_lat, 5)[at.ravel()]
        said = np.full(len(east), "undetermined place", object)
        said[good] = np.array(words, object)[at.ravel()]
        return out_lon, out_lat, list(said)

    def settlements(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats, list[str | None]]:
        """The settlement nearest to the cell of each point: longitude, latitude, "near Avdiivka"; NaN, NaN and None
        where there is none within reach."""
        at_lon, at_lat, _ = self.cells(lon, lat)
        index, distance = self.gazetteer.nearest(at_lon, at_lat, districts=False)
        known = (index >= 0) & (np.nan_to_num(distance, nan=np.inf) <= 100_000.0)
        at = np.where(known, index, 0)
        names = [f"near {self.gazetteer.name[i]}" if k else None for i, k in zip(at.tolist(), known, strict=True)]
        lon, lat = (np.where(known, getattr(self.gazetteer, name)[at], np.nan) for name in ("lon", "lat"))
        return np.round(lon, 5), np.round(lat, 5), names

    def _named(self, name: str, lon: float, lat: float) -> tuple[float, float]:
        """The settlement of that name that is nearest to a point."""
        found = next(one for one in self.gazetteer.near(lon, lat, 25.0) if one.name == name)
        return found.lon, found.lat


def cueing(rows: pa.Table) -> Bools:
    """Which rows say where somebody's weapons, vehicles or vessels are, or fired from."""
    what = pc.fill_null(rows["what"], "movement")
    out = np.zeros(rows.num_rows, np.bool_)
    for stem in CUEING:
        hit = pc.or_(pc.equal(what, stem), pc.starts_with(what, f"{stem}."))
        out |= hit.to_numpy()
    if "description" in rows.column_names:
        for word in _OUTGOING:
            said = pc.fill_null(pc.match_substring(rows["description"], word, ignore_case=True), False)
            out |= said.to_numpy()
    return out


def hours(column: pa.ChunkedArray, up: bool = False) -> pa.ChunkedArray:
    """Times down to their hour, or up to the next."""
    if up:
        return pc.ceil_temporal(column, unit="hour").cast(TIME)
    return pc.floor_temporal(column, unit="hour").cast(TIME)


def tenths(column: pa.ChunkedArray) -> pa.Array:
    """Probabilities to a tenth; null stays null. What is not certain is never rounded to 0 or 1, but to 0.05, 0.95."""
    exact = to_numpy(column).astype(np.float64)
    near = np.clip(np.round(np.round(exact / STEP) * STEP, 1), STEP / 2, 1 - STEP / 2)
    return nullable(np.where((exact == 0) | (exact == 1), exact, near))


def not_few(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers, null where they are below `FEW`."""
    return pc.if_else(pc.greater_equal(column, FEW), column, pa.scalar(None, column.type))


def errors_m(major_m: pa.ChunkedArray) -> pa.Array:
    """The greater half-axis of each ellipse, up to whole kilometres: at least a cell."""
    whole = np.maximum(np.ceil(to_numpy(major_m).astype(np.float64) / CELL_M), 1.0) * CELL_M
    return nullable(whole.astype(np.float32))


def opaque(column: pa.ChunkedArray | pa.Array, key: bytes, label: str) -> pa.Array:
    """Ids that say nothing of the ids they stand for: 16 bytes of HMAC-SHA-256 of id and label. Null stays null.

    The same id has the same one as long as the key stands, and another one in each label: what two readers of
    different labels know cannot be joined.
    """
    secret = hmac.new(key, label.encode(), "sha256").digest()
    start = hmac.new(secret, digestmod="sha256")
    out: list[bytes | None] = []
    for plain in column.to_pylist():
        if plain is None:
            out.append(None)
            continue
        one = start.copy()
        one.update(plain)
        out.append(one.digest()[:16])
    return pa.array(out, ID)


def replaced(rows: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    """A table with some columns' values put in their place, or behind the others."""
    for name, values in columns.items():
        if name in rows.column_names:
            rows = rows.set_column(rows.column_names.index(name), name, values)
        else:
            rows = rows.append_column(name, values)
    return rows


# ---- the tables that go out ----------------------------------------------------------------------------------------


def occurrences(rows: pa.Table, ground: Ground, columns: tuple[str, ...]) -> pa.Table:
    """Events or incidents as parties and public may have them: these columns and no others."""
    lon, lat, words = ground.cells(*(to_numpy(rows[name]) for name in ("lon", "lat")))
    error = errors_m(rows["major_m"])
    made: dict[str, Any] = {
        "what": families(rows["what"]),
        "lon": nullable(lon),
        "lat": nullable(lat),
        "major_m": error,
        "minor_m": error,
        "place": pa.array(words, pa.string()),
        "p_conflict": tenths(rows["p_conflict"]),
    }
    for name in ("at", "at_from", "first_at"):
        if name in rows.column_names:
            made[name] = hours(rows[name])
    for name in ("at_until", "last_at"):
        if name in rows.column_names:
            made[name] = hours(rows[name], up=True)
    for name in ("count", "count_max", "killed", "injured"):
        made[name] = not_few(rows[name])
    return replaced(rows, made).select(columns)


def families(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first word of each term: "explosion" of "explosion.impact"."""
    return pc.replace_substring_regex(column, r"\..*$", "")


def exact_but_origins(rows: pa.Table, ground: Ground) -> pa.Table:
    """Events or incidents as sending states have them: as they are, but origins of fire and what moves at a cell, and
    nobody's sensors named."""
    hidden = cueing(rows)
    rows = rows.drop_columns([name for name in ("sensors", "identity") if name in rows.column_names])
    if not hidden.any():
        return rows
    lon, lat, words = ground.cells(*(to_numpy(rows[name]) for name in ("lon", "lat")))
    mask, error = pa.array(hidden), errors_m(rows["major_m"])
    made: dict[str, Any] = {"lon": nullable(lon), "lat": nullable(lat), "major_m": error, "minor_m": error}
    if "place" in rows.column_names:
        made["place"] = pa.array(words, pa.string())
    nothing = ("tilt_deg", "line_distance_m", "chainage_m", "p_inside")
    made |= {name: pa.nulls(rows.num_rows, rows.schema.field(name).type) for name in nothing}
    return replaced(rows, {name: pc.if_else(mask, values, rows[name]) for name, values in made.items()})


def sentences(rows: pa.Table, titles: Mapping[str, str], parties: Mapping[str, str]) -> pa.Array:
    """What a finding says when nothing finer than its coarse columns may be said.

    Parameters
    ----------
    rows
        Findings with `what` (null: a duty), `place` and the other columns coarse already.
    titles, parties
        Titles of clauses and names of parties, by id.
    """
    out = []
    columns = ("clause", "reading", "subject_kind", "what", "place", "p_breach")
    begins, ends = (
        pc.strftime(rows[name], format="%Y-%m-%d %H:%M").to_pylist()
        for name in ("first_breach_from", "first_breach_until")
    )
    for row, begin, end in zip(rows.select(columns).to_pylist(), begins, ends, strict=True):
        clause, reader = row["clause"], parties.get(row["reading"], row["reading"])
        about = "a duty" if row["subject_kind"] == "duty" else term(row["what"] or "report").osce
        where = f" {row['place']}" if row["place"] and row["subject_kind"] != "duty" else ""
        when = f", between {begin} and {end} UTC" if begin and end else ""
        said = "no probability of breach can be given" if row["p_breach"] is None else _about(row["p_breach"])
        title = f" ({titles[clause]})" if clause in titles else ""
        tail = "" if row["subject_kind"] == "duty" else " Who fired is undetermined."
        out.append(f"Clause {clause}{title}, as {reader} reads it: {about}{where}{when}; {said} (uncalibrated).{tail}")
    return pa.array(out, pa.string())


def _about(p: float) -> str:
    if p in (0.0, 1.0):
        return f"probability of breach {p:.1f}"
    if not 0.06 < p < 0.94:
        return f"probability of breach {'below 0.1' if p < 0.5 else 'above 0.9'}"
    return f"probability of breach about {p:.1f}"
