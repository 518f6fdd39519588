"""Write the README's table of figures: run benchmarks and keep what they print.

``python -m tests.benchmarks.table [--quick] [NAME …]``; all benchmarks by default.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.report import Figure, as_table

README = Path(__file__).parent.parent.parent / "README.md"
BEGIN, END = "<!-- benchmarks -->\n", "<!-- /benchmarks -->"


def names() -> list[str]:
    """Return the benchmarks there are."""
    own = {"__init__", "report", "table"}
    return sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in own)


def measured(name: str, *, quick: bool) -> list[Figure]:
    """Run one benchmark in a process of its own."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--json"]
    result = subprocess.run(
        command + ["--quick"] * quick, cwd=README.parent, stdout=subprocess.PIPE, check=False
    )
    return [Figure(**figure) for figure in json.loads(result.stdout)]


def main() -> None:
    """Run the benchmarks and put their table into the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=names())
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    parts = [
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores {platform.machine()}, "
        f"Python {platform.python_version()}"
        + (", smaller sizes (`--quick`)" if arguments.quick else "")
        + ".\n"
    ]
    for name in arguments.names:
        figures = measured(name, quick=arguments.quick)
        parts.append(f"\n`python -m tests.benchmarks.{name}`\n\n{as_table(figures)}\n")
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + "".join(parts) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
