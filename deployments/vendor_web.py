"""Bring the web page's libraries and map data into ``geomon/api/static/vendor``, unmodified.

Needs npm. Run it from anywhere to take the versions pinned here::

    python deployments/vendor_web.py            # rewrite the folder
    python deployments/vendor_web.py --check    # only tell whether it is what npm gives

``versions.json`` in the folder lists every package with its version, licence and the SHA-256 of
each file, so that a check without npm can tell whether a file was touched.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "geomon" / "api" / "static" / "vendor"
PACKAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "maplibre-gl": (
        "6.17.0",
        (
            "dist/maplibre-gl.mjs",
            "dist/maplibre-gl-worker.mjs",
            "dist/maplibre-gl.css",
            "LICENSE.txt",
        ),
    ),
    "topojson-client": ("3.1.0", ("dist/topojson-client.min.js", "LICENSE")),
    # Natural Earth 4.1.0, public domain, as TopoJSON
    "world-atlas": ("2.0.2", ("countries-50m.json", "countries-10m.json", "LICENSE")),
}


def fetch(folder: Path) -> None:
    """Install the pinned packages into a scratch folder and copy what the page uses."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        names = [f"{name}@{version}" for name, (version, _) in PACKAGES.items()]
        subprocess.run(
            [
                "npm",
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--save-exact",
                *names,
            ],
            cwd=scratch,
            check=True,
            stdout=sys.stderr,
        )
        record = {}
        for name, (version, files) in PACKAGES.items():
            source = Path(scratch) / "node_modules" / name
            target = folder / name
            target.mkdir(parents=True, exist_ok=True)
            for file in files:
                shutil.copyfile(source / file, target / Path(file).name)
            package = json.loads((source / "package.json").read_text(encoding="utf-8"))
            record[name] = {
                "version": version,
                "licence": package["license"],
                "sha256": {Path(file).name: _sha256(source / file) for file in files},
            }
    (folder / "versions.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 on differences"
    )
    arguments = parser.parse_args()
    if shutil.which("npm") is None:
        sys.stderr.write("npm: not found; install Node.js to bring in the page's libraries\n")
        return 1
    if not arguments.check:
        shutil.rmtree(VENDOR, ignore_errors=True)
        fetch(VENDOR)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        fetch(Path(scratch))
        fresh, kept = _contents(Path(scratch)), _contents(VENDOR)
    for name in sorted(fresh.keys() | kept.keys()):
        if fresh.get(name) != kept.get(name):
            sys.stderr.write(f"{name}: differs from what npm gives\n")
    return int(fresh != kept)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): _sha256(path) for path in files}


if __name__ == "__main__":
    sys.exit(main())
