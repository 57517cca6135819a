"""A day of dense AIS through `truceline run`: 10 million fixes from a file to tracks, movements, findings and report.

    python -m bench.day                       10,000,000 fixes of 20,000 ships
    python -m bench.day --fixes 1000000       fewer, of as many ships, in less of a day
    python -m bench.day --folder DIR          keep the mission there; made already, it is used as it is

The sentences are NMEA 0183 with the receiver's time, type 1, as receivers write them. What is told is the memory of
the one process that `truceline run` is: resident, and of it what is not a file's; and seconds by the stage it names.
Ends with 1 when it takes more than is asked for.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from truceline.frame import Frame

MOST_GB = 1.0
SHIPS, FIXES, DAY_S = 20_000, 10_000_000, 86_400.0
START_S = 1_930_608_000  # 2031-03-07
FRAME = Frame(33.0, 44.0)

MISSION = """
name = "a-day-of-ais"
centre = {lon = 33.0, lat = 44.0}
radius_km = 600
agreement = "agreement.toml"
exercise = true
[[source]]
id = "ais"
feed = "ais"
paths = ["ais.nmea"]
"""

AGREEMENT = """
id = "lanes"
title = "A closed area, a lane and an anchorage"
in_force_from = 2031-01-01T00:00:00Z
[[party]]
id = "a"
name = "A"
[[party]]
id = "b"
name = "B"
[[zone]]
id = "closed"
kind = "circles"
name = "the closed area"
radius_km = 20.0
[[zone.sites]]
name = "the platform"
lon = 32.0
lat = 44.5
[[clause]]
id = "1"
type = "presence"
title = "no vessel near the platform"
parties = ["a", "b"]
zone = "closed"
what = ["vessel"]
effective = {"" = 2031-01-01T00:00:00Z}
[clause.text]
"" = "no vessel within 20 km of the platform"
"""

Bits = npt.NDArray[np.uint8]


def _field(values: npt.NDArray[np.int64], width: int) -> Bits:
    """Whole numbers as bits, two's complement: (n, width)."""
    return ((values[:, None] >> np.arange(width - 1, -1, -1)) & 1).astype(np.uint8)


def _hex(values: Bits) -> Bits:
    return np.frombuffer(b"0123456789ABCDEF", np.uint8)[np.stack([values >> 4, values & 15], axis=1)]


def _columns(n: int, *parts: bytes | Bits) -> Bits:
    """Fixed texts and characters of each row, side by side."""
    rows = [np.broadcast_to(np.frombuffer(p, np.uint8), (n, len(p))) if isinstance(p, bytes) else p for p in parts]
    return np.concatenate(rows, axis=1)


def sentences(
    mmsi: npt.NDArray[np.int64], at_s: npt.NDArray[np.float64], lon: npt.NDArray[np.float64],
    lat: npt.NDArray[np.float64], speed_kn: npt.NDArray[np.float64], course: npt.NDArray[np.float64],
) -> bytes:  # fmt: skip
    """Position reports of type 1 (ITU-R M.1371), each with its tag block of time."""
    n = len(mmsi)
    whole = at_s.astype(np.int64)
    zero = np.zeros(n, np.int64)
    bits = np.concatenate(
        [
            _field(zero + 1, 6), _field(zero, 2), _field(mmsi, 30), _field(zero, 4), _field(zero - 128, 8),
            _field(np.rint(speed_kn * 10).astype(np.int64), 10), _field(zero + 1, 1),
            _field(np.rint(lon * 600_000).astype(np.int64), 28), _field(np.rint(lat * 600_000).astype(np.int64), 27),
            _field(np.rint(course * 10).astype(np.int64) % 3600, 12), _field(zero + 511, 9), _field(whole % 60, 6),
            _field(zero, 25),
        ],
        axis=1,
    )  # fmt: skip
    six = (bits.reshape(n, 28, 6) * (1 << np.arange(5, -1, -1))).sum(axis=2).astype(np.uint8)
    payload = six + 48 + 8 * (six >= 40).astype(np.uint8)
    clock = np.char.mod("%010d", whole).astype("S10").view(np.uint8).reshape(n, 10)
    block = _columns(n, b"c:", clock)
    body = _columns(n, b"AIVDM,1,1,,A,", payload, b",0")
    sums = [_hex(np.bitwise_xor.reduce(part, axis=1)) for part in (block, body)]
    return _columns(n, b"\\", block, b"*", sums[0], b"\\!", body, b"*", sums[1], b"\r\n").tobytes()


def reports(fixes: int) -> Iterator[bytes]:
    """Ships that go straight and turn every few hours, each heard every three minutes; in order of receipt."""
    rng = np.random.default_rng(7)
    minutes = max(int(1440 * fixes / FIXES), 1)
    per_minute = fixes // minutes
    mmsi = rng.permutation(np.arange(201_000_000, 775_000_000, 20_011))[:SHIPS].astype(np.int64)
    east, north = rng.uniform(-4e5, 4e5, SHIPS), rng.uniform(-4e5, 4e5, SHIPS)
    speed, course = rng.uniform(0, 10, SHIPS), rng.uniform(0, 2 * np.pi, SHIPS)
    seen_s = np.zeros(SHIPS)
    for minute in range(minutes):
        ship = rng.permutation(SHIPS)[:per_minute]
        at = np.sort(rng.uniform(0, 60, per_minute)) + 60.0 * minute
        east[ship] += speed[ship] * np.sin(course[ship]) * (at - seen_s[ship])
        north[ship] += speed[ship] * np.cos(course[ship]) * (at - seen_s[ship])
        seen_s[ship] = at
        lon, lat = FRAME.to_degrees(east[ship], north[ship])
        noise = rng.normal(0, 1e-4, (2, per_minute))
        yield sentences(
            mmsi[ship], START_S + at, lon + noise[0], lat + noise[1], speed[ship] / 0.514444, np.degrees(course[ship])
        )
        turns = ship[rng.random(per_minute) < 0.01]
        course[turns] += rng.normal(0, 0.5, len(turns))


def made(folder: Path, fixes: int) -> None:
    """The mission, where it is not there already."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mission.toml").write_text(MISSION)
    (folder / "agreement.toml").write_text(AGREEMENT)
    if (folder / "ais.nmea").exists():
        return
    with (folder / "making").open("wb") as file:
        for piece in reports(fixes):
            file.write(piece)
    (folder / "making").rename(folder / "ais.nmea")


def _status(process: int) -> dict[str, int]:
    """Fields of a process's status that are in kB, in bytes."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines if line.endswith("kB")}


def measured(folder: Path, verb: str) -> float:
    """Run a verb; most memory it took that is not a file's, GB."""
    begun = time.perf_counter()
    command = [str(Path(sys.executable).with_name("truceline")), verb, str(folder)]
    with (folder / f"{verb}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        most, resident, told = 0, 0, 0.0
        while process.poll() is None:
            status = _status(process.pid)
            most = max(most, status.get("RssAnon", 0))
            resident = max(resident, status.get("VmHWM", 0))
            now = time.perf_counter() - begun
            if now - told > 10:
                told = now
                print(f"    {now:5.0f} s {status.get('RssAnon', 0) / 1e9:.2f} GB", flush=True)
            time.sleep(0.05)
    print(
        f"  {verb}: {time.perf_counter() - begun:.0f} s, at most {resident / 1e9:.2f} GB resident, "
        f"{most / 1e9:.2f} GB without files' pages; ended with {process.returncode}",
        flush=True,
    )
    if process.returncode:
        print((folder / f"{verb}.log").read_text()[-2000:])
    return resident / 1e9 if not process.returncode else float("inf")


def main() -> int:
    """Make the mission, run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fixes", type=int, default=FIXES)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="day-") as kept:
        folder = chosen.folder or Path(kept) / "mission"
        made(folder, chosen.fixes)
        print(f"a day of AIS: {chosen.fixes:,} fixes, {(folder / 'ais.nmea').stat().st_size / 1e9:.2f} GB", flush=True)
        most = measured(folder, "run")
    if most > MOST_GB:
        print(f"not as asked: {most:.2f} GB, asked {MOST_GB:.1f}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
