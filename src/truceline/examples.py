"""What ships with Truceline to begin from: the example mission and the agreements as data."""

import shutil
from pathlib import Path

from truceline.errors import MissionError, NotFoundError
from truceline.mission import FILE

_INSTALLED = Path(__file__).parent / "shipped"
SHIPPED = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "examples"

_MISSION = """\
# A mission: where, which sources, which agreement. Every key: docs/mission.md
name = "{name}"
centre = {{lon = 37.5, lat = 48.3}}        # of the theatre's local plane
radius_km = 800
agreement = "agreement.toml"
counting = "osce-smm"                    # the counting rule of reports: osce-smm or jfo
report_day = {{ends = "19:30", zone = "Europe/Kyiv"}}

# Dated lines of contact, or areas whose border is the line; the date stands in the file's name.
# Without any, sides and distances stay empty and clauses about bands say so.
#[line]
#paths = ["line/*.geojson"]

# Satellite fires: https://firms.modaps.eosdis.nasa.gov, archive or near real time, as CSV.
[[source]]
id = "firms"
feed = "firms"
paths = ["firms/*.csv", "firms/*.csv.gz"]
licence = "NASA FIRMS, open data"

# Fires of peaceful years, never of the mission's own time: from them it is learned what burns without the conflict.
# Without a baseline every fire has one stated probability of being the conflict's. Check it with: truceline fires DIR
#[baseline]
#feed = "firms"
#paths = ["firms_past/*.csv", "firms_past/*.csv.gz"]
#years = [2018, 2019, 2020, 2021]

# Incident reports in columns of your own; for VIINA, ACLED or UCDP: preset = "viina", "acled", "ucdp".
#[[source]]
#id = "reports"
#feed = "table"
#paths = ["reports/*.csv"]
#columns = {{at = "time", lon = "lon", lat = "lat", what = {{value = "explosion"}}, text = "remarks"}}
"""


def agreements() -> list[str]:
    """Names of the agreements that ship."""
    return sorted(path.stem for path in (SHIPPED / "agreements").glob("*.toml"))


def new_mission(folder: Path, agreement: str) -> list[Path]:
    """Write a mission to begin from; the paths written.

    Raises
    ------
    NotFoundError
        When no such agreement ships.
    MissionError
        When the folder has a mission already.
    """
    if agreement not in agreements():
        raise NotFoundError(f"no agreement {agreement!r} ships with Truceline; there are {', '.join(agreements())}")
    if (folder / FILE).exists():
        raise MissionError(f"{folder / FILE}: there is a mission already; it stays as it is")
    try:
        for name in ("firms", "reports", "line"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(_MISSION.format(name=folder.resolve().name))
        shutil.copyfile(SHIPPED / "agreements" / f"{agreement}.toml", folder / "agreement.toml")
    except OSError as error:
        raise MissionError(f"{folder}: cannot write a mission there: {error.strerror}") from error
    return [folder / FILE, folder / "agreement.toml"]


def copy_example(folder: Path) -> None:
    """Copy the example mission to `folder`; what an earlier run left there stays, its files are renewed."""
    try:
        shutil.copytree(
            SHIPPED / "two-days", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__")
        )
    except OSError as error:
        raise MissionError(f"{folder}: cannot copy the example there: {error}") from error
