"""Write the README's table of figures: run benchmarks and keep what they print.

``python -m tests.benchmarks.table [--quick] [NAME …]``; all benchmarks by default. What other
benchmarks printed before stays.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.report import Figure, as_table

README = Path(__file__).parent.parent.parent / "README.md"
BEGIN, END = "<!-- benchmarks -->\n", "<!-- /benchmarks -->"


def names() -> list[str]:
    """Return the benchmarks there are."""
    own = {"__init__", "ablation", "report", "seisbench", "table"}
    paths = Path(__file__).parent.glob("*.py")
    # "picking_accuracy" is a part of "picking".
    return sorted(p.stem for p in paths if p.stem not in own and "_" not in p.stem)


def measured(name: str, *, quick: bool) -> list[Figure]:
    """Run one benchmark in a process of its own."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--json"]
    result = subprocess.run(
        command + ["--quick"] * quick, cwd=README.parent, stdout=subprocess.PIPE, check=False
    )
    return [Figure(**figure) for figure in json.loads(result.stdout)]


def section(name: str, *, quick: bool) -> str:
    """Run one benchmark and return its part of the README."""
    command = f"`python -m tests.benchmarks.{name}{' --quick' if quick else ''}`"
    where = f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}"
    head = f"{command}, {datetime.now(UTC):%Y-%m-%d}, {where}"
    return f"{head}:\n\n{as_table(measured(name, quick=quick))}\n"


def main() -> None:
    """Run benchmarks and replace their parts of the README's table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=names())
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    arguments = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    inside, _, after = rest.partition(END)
    parts = dict(re.findall(r"<!-- (\w+) -->\n(.*?)(?=<!-- |\Z)", inside, re.DOTALL))
    for name in arguments.names:
        parts[name] = section(name, quick=arguments.quick) + "\n"
    inside = "".join(f"<!-- {name} -->\n{parts[name]}" for name in sorted(parts))
    README.write_text(before + BEGIN + inside + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
