"""The whole service, as `truceline serve` runs it, for bench/serving_whole.py: gate, picture, tracks, accounts, web.

    python -m bench._service_child FOLDER [OBSERVATIONS]    makes the mission in FOLDER, the example's two days and so
                                                            many observations beside them, settled; serves it, and
                                                            prints one line of JSON: port, the tokens, the time

The mission's time is moved to where the example ends, as when it is replayed; accounts end by the wall's.
"""

import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from truceline import desk
from truceline.examples import SHIPPED
from truceline.serve import audit
from truceline.serve.accounts import Accounts
from truceline.serve.running import Listening, listen, run, running

#: Where the example ends.
BEGINS = datetime(2031, 3, 15, 18, 0, tzinfo=UTC)
#: Sources that share the load, each allowed more than the whole of it.
SOURCES = tuple(f"post-{n}" for n in range(4))
#: Readers by name: 32 streams may be open of one.
READERS = 20

_SOURCE = """
[[source]]
id = "{id}"
feed = "observations"
live = {{rows_per_s = 1e6}}
"""


def wall() -> datetime:
    return datetime.now(UTC)


def a_mission(folder: Path, observations: int) -> None:
    """The example with sources for the load, read and settled."""
    shutil.copytree(SHIPPED / "two-days", folder, ignore=shutil.ignore_patterns("*.py"))
    more = "".join(_SOURCE.format(id=id) for id in SOURCES)
    with (folder / "mission.toml").open("a") as file:
        file.write(more.replace("live =", "paths = []\nlive ="))
    if observations:
        rng = np.random.default_rng(1)
        mission = (folder / "mission.toml").read_text().replace('id = "post-0"', 'id = "post-0"#', 1)
        mission = mission.replace('id = "post-0"#\nfeed = "observations"\npaths = []', _EARLIER, 1)
        (folder / "mission.toml").write_text(mission)
        (folder / "earlier.jsonl").write_bytes(b"\n".join(a_sighting(k, rng) for k in range(observations)))
    desk.run(folder, BEGINS)


_EARLIER = 'id = "post-0"\nfeed = "observations"\npaths = ["earlier.jsonl"]'


def a_sighting(number: int, rng: np.random.Generator) -> bytes:
    """One of the two days before, anywhere in the theatre."""
    at = BEGINS - timedelta(seconds=float(rng.uniform(0, 48 * 3600)))
    told = {
        "kind": "sighting", "what": "explosion.impact", "at": at.isoformat(), "sensor": f"post {number % 40}",
        "lon": round(float(rng.uniform(37, 41)), 5), "lat": round(float(rng.uniform(47.8, 50.8)), 5),
        "count": 1 + number % 5,
    }  # fmt: skip
    return json.dumps(told).encode()


async def serve(folder: Path) -> None:
    """Serve until told to stop."""
    began = wall()
    accounts = Accounts(folder, wall)
    note = audit.row("account", "bench", began)
    accounts.add("chief", "administrator", "mission", None, "a long password of the bench", note)
    accounts.add("device", "reporter", "mission", None, None, note)
    tokens = {"device": accounts.add_token("device", note, days=1), "readers": []}
    for k in range(READERS):
        accounts.add(f"reader-{k}", "viewer", "mission", None, None, note)
        tokens["readers"].append(accounts.add_token(f"reader-{k}", note, days=1))
    accounts.close()
    at = Listening(port=0)

    def started(address: str) -> None:
        told = {"port": int(address.rpartition(":")[2]), "ahead_s": (BEGINS - began).total_seconds(), **tokens}
        print(json.dumps(told), flush=True)

    async with running(folder, lambda: BEGINS + (wall() - began), wall, listening=at) as service:
        await listen(service, at, started)


def main() -> None:
    folder = Path(sys.argv[1])
    a_mission(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    run(serve(folder))


if __name__ == "__main__":
    main()
