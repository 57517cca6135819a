"""The mission's baseline: detections of peaceful years, and the background of fires that is learned from them.

A background is learned once and kept in the mission's cache folder under a hash of all it follows from. Whether it
comes from there or is learned anew, it is the same.
"""

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from shapely.geometry.base import BaseGeometry

from truceline import feeds, geojson
from truceline.agreement import file_hash
from truceline.errors import MissionError
from truceline.frame import Frame
from truceline.fuse.background import VERSION, Background
from truceline.fuse.checks import MOST_NEAR, MOST_OUTSIDE, NEAR_KM, Detections, aggregate
from truceline.fuse.conflict import FireModel, night, reports
from truceline.intake import CACHE, Progress, silent
from truceline.line import Line
from truceline.mission import FILE, Baseline, Mission, Source, files
from truceline.observation import ids, to_numpy
from truceline.zones import mended

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DAY_S = 86_400.0
#: Of a baseline's rows: nothing is kept of when they were read.
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Past(NamedTuple):
    """The baseline's detections, each once, in no order."""

    lon: Floats
    lat: Floats
    day: Ints  # days since 1970, UTC
    rejected: int  # records that could not be read

    def of(self, rows: npt.NDArray[np.bool_]) -> "Past":
        """Some of them."""
        return Past(self.lon[rows], self.lat[rows], self.day[rows], self.rejected)

    @property
    def year(self) -> Ints:
        """Of each."""
        return np.asarray(self.day.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970)


class Learned(msgspec.Struct, frozen=True):
    """What a background was learned from."""

    detections: dict[int, int]  # by year
    rejected: int

    def sentence(self) -> str:
        """As an edition's note says it."""
        if not self.detections:
            return "fires: the baseline is empty, so there is no background: probabilities follow the line alone"
        years = ", ".join(str(year) for year in sorted(self.detections))
        refused = f"; {self.rejected:,} of its records could not be read" if self.rejected else ""
        return f"fires: background of {sum(self.detections.values()):,} detections, {years}{refused}"


def fire_model(
    folder: Path,
    mission: Mission,
    frame: Frame,
    line: Line | None,
    observations: pa.Table,
    progress: Progress = silent,
) -> tuple[FireModel | None, str]:
    """The model that says which fires are the conflict's, and a sentence on what it learned from.

    Parameters
    ----------
    observations
        The mission's, with `kind` and `at`: none of its years may be in the baseline.

    Returns
    -------
    None and "" when the mission has no `[baseline]`: then its `fire_prior` stands for every fire.

    Raises
    ------
    MissionError
        Naming the key: no such file, a year without detections, a year that is the mission's own.
    """
    if mission.baseline is None:
        return None, ""
    made, learned = learn(folder, mission.baseline, frame, progress)
    _not_its_own(folder, set(learned.detections), observations)
    return FireModel(made, line, frame, mission.fire_prior), learned.sentence()


def check(folder: Path, line: Line, observations: pa.Table | None, progress: Progress = silent) -> dict[str, Any]:
    """What the model comes to where no truth is needed: `fuse.checks.aggregate` of the mission's baseline and line.

    Parameters
    ----------
    observations
        The mission's, with the columns that `fire_model` and `fuse.conflict.COLUMNS` name; None: only the baseline.

    Raises
    ------
    MissionError
        As `fire_model`; and when there is no `[baseline]`, or nothing in it.
    """
    mission = Mission.load(folder)
    if mission.baseline is None:
        raise MissionError(f"{folder / FILE}: there is no [baseline]: without peaceful years there is nothing to check")
    past = read(folder, mission.baseline, mission.frame(), progress)
    if not len(past.day):
        raise MissionError(f"{folder / FILE}: baseline: there are no detections in its files")
    seen, told = None, None
    if observations is not None:
        _not_its_own(folder, set(past.year.tolist()), observations)
        fires = observations.filter(pc.fill_null(pc.equal(observations["kind"], "hotspot"), False))
        lon, lat, at_s = (to_numpy(fires[name]).astype(np.float64) for name in ("lon", "lat", "at"))
        seen, told = Detections(lon, lat, at_s, night(fires)), reports(observations)
    found = aggregate(
        Detections(past.lon, past.lat, past.day.astype(np.float64) * _DAY_S),
        line,
        mission.frame(),
        exclude=excluded(folder, mission.baseline),
        seen=seen,
        reports=told,
        tell=lambda done, total: progress("judging each year by the others", done, total),
    )
    each, count = np.unique(past.year, return_counts=True)
    by_year = {str(year): n for year, n in zip(each.tolist(), count.tolist(), strict=True)}
    return {"detections": by_year, "rejected": past.rejected, **found, "exceeded": _exceeded(found["peace"])}


def _exceeded(peace: list[dict[str, Any]]) -> list[str]:
    """Which limits do not hold, in words."""
    whole = [row for row in peace if row["season"] == "the year"]
    if not whole:
        return ["a baseline of one year cannot be checked: each year is judged by the others"]
    limits = (
        ("near", MOST_NEAR, f"within {NEAR_KM:.0f} km of the line laid over it"),
        ("outside", MOST_OUTSIDE, "outside the places at war"),
    )
    return [
        f"{row['year']}: {100 * row[name]:.1f} % of detections {where} are called the conflict's; "
        f"at most {100 * most:.0f} % may be"
        for row in whole
        for name, most, where in limits
        if (row[name] or 0.0) > most
    ]


def years_of(observations: pa.Table) -> set[int]:
    """The years of which there are hotspots."""
    fires = pc.fill_null(pc.equal(observations["kind"], "hotspot"), False)
    return {year for year in pc.unique(pc.year(observations["at"].filter(fires))).to_pylist() if year is not None}


def _not_its_own(folder: Path, years: set[int], observations: pa.Table) -> None:
    own = years & years_of(observations)
    if own:
        raise MissionError(
            f"{folder / FILE}: baseline: {_listed(own)}: the mission has fires of then itself, and the background is "
            "never learned from the mission's own time; name the peaceful years in `years`"
        )


def learn(
    folder: Path, baseline: Baseline, frame: Frame, progress: Progress = silent
) -> tuple[Background | None, Learned]:
    """The background of the baseline, from the cache or learned and put there; None where the baseline is empty."""
    paths = _paths(folder, baseline)
    key = _key(folder, baseline, frame, [file_hash(Path(path)) for path in paths])
    kept = folder / CACHE / f"background-{key}.npz"
    about = kept.with_suffix(".json")
    if zipfile.is_zipfile(kept) and about.is_file():  # neither absent nor torn
        return Background.load(kept), msgspec.json.decode(about.read_bytes(), type=Learned)
    past = read(folder, baseline, frame, progress)
    progress("learning the background of fires", 0, None)
    made = Background.learn(past.lon, past.lat, past.day, exclude=excluded(folder, baseline))
    each, count = np.unique(past.year, return_counts=True)
    learned = Learned(dict(zip(each.tolist(), count.tolist(), strict=True)), past.rejected)
    if made is not None:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, no more
            kept.parent.mkdir(parents=True, exist_ok=True)
            scratch = about.with_name(f".{about.name}.{os.getpid()}")
            scratch.write_bytes(msgspec.json.encode(learned))
            scratch.replace(about)
            made.save(kept)
    return made, learned


def read(folder: Path, baseline: Baseline, frame: Frame, progress: Progress = silent) -> Past:
    """The baseline's detections of its years, within the theatre.

    Raises
    ------
    MissionError
        When a pattern matches no file, or a year named has no detections.
    """
    source = Source(id="baseline", feed=baseline.feed, paths=baseline.paths)
    columns: list[tuple[npt.NDArray[np.uint64], Floats, Floats, Floats]] = []
    rejected = done = 0
    for path in _paths(folder, baseline):
        for batch in feeds.read(source, folder, path, _NEVER):
            rejected += batch.rejections.num_rows
            rows = batch.observations
            rows = rows.filter(pc.equal(rows["kind"], "hotspot"))
            lon, lat, at = (to_numpy(rows[name]).astype(np.float64) for name in ("lon", "lat", "at"))
            columns.append((ids(rows["observation_id"]), lon, lat, at))
            done += len(lon)
            progress("reading the baseline of fires", done, None)
    if not columns:
        return Past(np.empty(0), np.empty(0), np.empty(0, np.int64), rejected)
    pairs, lon, lat, at = (np.concatenate(column) for column in zip(*columns, strict=True))
    once = np.zeros(len(lon), np.bool_)
    once[np.unique(pairs, axis=0, return_index=True)[1]] = True
    once &= np.isfinite(lon + lat + at) & frame.within(lon, lat)
    past = Past(lon[once], lat[once], np.floor(at[once] / _DAY_S).astype(np.int64), rejected)
    if baseline.years:
        missing = set(baseline.years) - set(np.unique(past.year).tolist())
        if missing:
            have = _listed(np.unique(past.year).tolist()) or "none in the theatre"
            raise MissionError(
                f"{folder / FILE}: baseline: years: no detections of {_listed(missing)}; the files have {have}"
            )
        past = past.of(np.isin(past.year, baseline.years))
    return past


def excluded(folder: Path, baseline: Baseline) -> list[BaseGeometry]:
    """The places then at war, degrees."""
    if baseline.exclude is None:
        return []
    path = folder / baseline.exclude
    problems: list[str] = []
    features = geojson.read(path, problems)
    shapes = mended(np.array([feature.geometry for feature in features], object))
    areas = [shape for shape in shapes if shape.area > 0]
    if not areas:
        raise MissionError(f"{path}: baseline: exclude: no area in it")
    return areas


def _paths(folder: Path, baseline: Baseline) -> list[str]:
    for pattern in baseline.paths:
        found = files(folder, [pattern])
        where = f"{folder / FILE}: baseline: paths"
        if not found:
            raise MissionError(f"{where}: no file matches {pattern}")
        if "://" in found[0]:
            raise MissionError(
                f"{where}: {pattern}: an edition names its baseline by its files' hashes; download it first"
            )
    return files(folder, baseline.paths)


def _key(folder: Path, baseline: Baseline, frame: Frame, hashes: list[str]) -> str:
    """Of all that a background follows from."""
    left_out = file_hash(folder / baseline.exclude) if baseline.exclude is not None else None
    theatre = (frame.lon, frame.lat, frame.radius_m)
    whole = (VERSION, baseline.feed, sorted(hashes), sorted(set(baseline.years)), left_out, theatre)
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:24]


def _listed(years: Iterable[int]) -> str:
    return ", ".join(str(year) for year in sorted(years))
