"""Every bench, or those named, one after the other: python -m bench [NAME ...] [options of theirs].

Ends with 1 when a bench did: an output that differs from its peer's, or a ratio below what is asked.
"""

import subprocess
import sys
import time
from pathlib import Path

#: Not benches of their own: what `run` is held against.
PEERS = "peer"


def main(arguments: list[str]) -> int:
    folder = Path(__file__).parent
    names = sorted(path.stem for path in folder.glob("[!_]*.py") if not path.stem.startswith(PEERS))
    split = next((i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    wanted, options = arguments[:split] or names, arguments[split:]
    if unknown := [name for name in wanted if name not in names]:
        print(f"there is no bench {', '.join(unknown)}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    failed = []
    for name in wanted:
        print(f"\n# {name}", flush=True)
        began = time.perf_counter()
        code = subprocess.run(
            [sys.executable, "-m", f"bench.{name}", *options], cwd=folder.parent, check=False
        ).returncode
        print(
            f"# {name}: {time.perf_counter() - began:.0f} s, {'done' if not code else f'ended with {code}'}", flush=True
        )
        failed += [name] if code else []
    if failed:
        print(f"\nnot as asked: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
