"""Which channels and times a request of the station or dataselect service names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from geomon.api.fdsn import Parameter, RequestProblem, read_parameters
from geomon.errors import DataError
from geomon.ids import SeedId
from geomon.times import TimeSpan, parse_time

MAX_LINES = 20_000
_BEGINNING_NS = parse_time("1900-01-01")
_END_NS = parse_time("2200-01-01")
_PATTERN = re.compile(r"[A-Za-z0-9*?-]{1,12}")

CHANNEL_PARAMETERS = (
    Parameter("network", "text", "Network codes, separated by commas; * and ? allowed.", ("net",),
              default="*"),
    Parameter("station", "text", "Station codes, separated by commas; * and ? allowed.", ("sta",),
              default="*"),
    Parameter("location", "text", "Location codes, separated by commas; -- is the empty one.",
              ("loc",), default="*"),
    Parameter("channel", "text", "Channel codes, separated by commas; * and ? allowed.", ("cha",),
              default="*"),
)  # fmt: skip
TIME_PARAMETERS = (
    Parameter("starttime", "time", "Data at or after this time, UTC.", ("start",)),
    Parameter("endtime", "time", "Data at or before this time, UTC.", ("end",)),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns of the four codes, and a span whose end is included as FDSN wants it."""

    network: tuple[str, ...]
    station: tuple[str, ...]
    location: tuple[str, ...]
    channel: tuple[str, ...]
    span: TimeSpan

    def names(self, seed_id: SeedId) -> bool:
        """Tell whether the patterns name a channel."""
        return (
            _matches(seed_id.network, self.network)
            and _matches(seed_id.station, self.station)
            and _matches(seed_id.location, self.location)
            and _matches(seed_id.channel, self.channel)
        )

    def may_name(self, seed_id: SeedId) -> bool:
        """Tell whether the patterns name some channel of the sensor of `seed_id`."""
        return (
            _matches(seed_id.network, self.network)
            and _matches(seed_id.station, self.station)
            and _matches(seed_id.location, self.location)
        )


def selection_of(values: Mapping[str, Any]) -> Selection:
    """Return what checked query parameters select.

    Raises
    ------
    RequestProblem
        With status 400 if a code or the order of the times is not allowed.
    """
    start_ns = values.get("starttime", min(_BEGINNING_NS, values.get("endtime", _END_NS)))
    end_ns = values.get("endtime", max(_END_NS, start_ns))
    if start_ns > end_ns:
        raise RequestProblem(400, "starttime is larger than endtime")
    return Selection(
        _patterns("network", values.get("network", "*")),
        _patterns("station", values.get("station", "*")),
        tuple(
            "" if pattern == "--" else pattern
            for pattern in _patterns("location", values.get("location", "*"))
        ),
        _patterns("channel", values.get("channel", "*")),
        TimeSpan(start_ns, end_ns + 1),
    )


def read_body(
    body: bytes, parameters: Sequence[Parameter]
) -> tuple[dict[str, Any], list[Selection]]:
    """Read the body of a POST: ``key=value`` lines, then one ``NET STA LOC CHA START END`` a line.

    Raises
    ------
    RequestProblem
        With status 400 if a line cannot be read, 413 if there are too many.
    """
    try:
        lines = body.decode().splitlines()
    except UnicodeDecodeError as error:
        raise RequestProblem(400, "the request is not UTF-8 text") from error
    if len(lines) > MAX_LINES:
        raise RequestProblem(413, f"the request has more than {MAX_LINES} lines")
    pairs: list[tuple[str, str]] = []
    selections: list[Selection] = []
    codes = {parameter.name for parameter in (*CHANNEL_PARAMETERS, *TIME_PARAMETERS)}
    for line in (line.strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        if "=" in line and not selections:
            name, _, value = line.partition("=")
            pairs.append((name, value))
        else:
            selections.append(_line(line))
    others = [parameter for parameter in parameters if parameter.name not in codes]
    values = read_parameters(pairs, others)
    if not selections:
        raise RequestProblem(400, "no line selects channels; write NET STA LOC CHA START END")
    return values, selections


def _line(line: str) -> Selection:
    parts = line.split()
    if len(parts) != 6:
        raise RequestProblem(400, f"{line[:80]!r} is not NET STA LOC CHA START END")
    values: dict[str, Any] = dict(
        zip(("network", "station", "location", "channel"), parts[:4], strict=True)
    )
    try:
        for name, text in (("starttime", parts[4]), ("endtime", parts[5])):
            if text != "*":
                values[name] = parse_time(text)
    except DataError as error:
        raise RequestProblem(400, f"{line[:80]!r}: {error}") from error
    return selection_of(values)


def _patterns(name: str, text: str) -> tuple[str, ...]:
    patterns = tuple(part.strip().upper() for part in text.split(","))
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise RequestProblem(400, f"{name} is {text[:60]!r}; {pattern[:20]!r} is not a code")
    return patterns


def _matches(code: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(code, pattern) for pattern in patterns)
