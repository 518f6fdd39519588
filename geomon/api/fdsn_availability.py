"""fdsnws-availability 1.0: which waveforms the archive holds, without reading a sample."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy import select

from geomon.api import fdsn
from geomon.api.access import Access
from geomon.api.fdsn import NODATA, Parameter, RequestProblem, Service
from geomon.api.fdsn_routes import add_channel_query, add_descriptions, cited
from geomon.api.holdings import Holdings
from geomon.api.selection import CHANNEL_PARAMETERS, TIME_PARAMETERS, Selection
from geomon.ids import SeedId
from geomon.services.workspace import Workspace
from geomon.stores import schema
from geomon.times import NS_PER_S, TimeSpan, from_ns

MAX_ROWS = 500_000
"""Most rows of one answer; more are refused with 413."""
QUALITY = "D"
"""The archive keeps samples, not the quality a record once had; dataselect writes this one."""

_ORDERS = ("nslc_time_quality_samplerate", "latestupdate", "latestupdate_desc")
_COMMON = (
    *TIME_PARAMETERS,
    *CHANNEL_PARAMETERS,
    Parameter("quality", "text", "SEED quality; the archive keeps one, whatever is asked.",
              default="*"),
    Parameter("merge", "text", "What does not keep time spans apart: samplerate, quality, overlap, "
              "separated by commas."),
    Parameter("limit", "int", "Most rows to return.", (), 1, 10**9),
    Parameter("includerestricted", "bool", "Also channels whose data are not open.",
              default="false"),
    Parameter("format", "text", "Format of the answer; request is one that dataselect takes.",
              choices=("text", "geocsv", "json", "request"), default="text"),
    NODATA,
)  # fmt: skip

EXTENT = Service(
    name="availability",
    version="1.0.0",
    about="From when to when the archive holds anything of each channel.",
    media_types=("text/plain", "text/csv", "application/json"),
    methods=("GET", "POST"),
    query="extent",
    has_auth=True,
    parameters=(
        *_COMMON,
        Parameter("orderby", "text", "Order of the rows.",
                  choices=(*_ORDERS, "timespancount", "timespancount_desc"), default=_ORDERS[0]),
    ),
)  # fmt: skip
SERVICE = replace(
    EXTENT,
    about="Every unbroken time span the archive holds of each channel.",
    query="query",
    others=(EXTENT,),
    parameters=(
        *_COMMON,
        Parameter("orderby", "text", "Order of the rows.", choices=_ORDERS, default=_ORDERS[0]),
        Parameter("mergegaps", "float", "Gaps of up to so many seconds break no time span.", (),
                  0, 1e9),
        Parameter("show", "text", "More columns: when data were last archived.",
                  choices=("latestupdate",)),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A time span of one channel, from its first to its last sample.

    The rate, in Hz, is None where spans of several were merged; `updated_ns` is when data of it
    were last archived, None if that is not known.
    """

    seed_id: SeedId
    rate_hz: float | None
    span: TimeSpan
    updated_ns: int | None
    n_spans: int = 1
    is_restricted: bool = False


def availability_service(space: Workspace, access: Access) -> APIRouter:
    """Return the routes of the availability service."""
    router = APIRouter(tags=["fdsnws-availability"])

    def answer(
        service: Service,
        request: Request,
        values: Mapping[str, Any],
        selections: Sequence[Selection],
        user: str | None,
    ) -> Response:
        merge = _choices(values, "merge", {"samplerate", "quality", "overlap"})
        _choices(values, "quality", set("drqmb*?"))
        holdings = Holdings(space, access)
        with_restricted = values.get("includerestricted", False)
        rows: list[Row] = []
        for row in stretches(holdings, selections, by_rate="samplerate" not in merge):
            if with_restricted or not row.is_restricted or access.may_read(user, row.seed_id):
                rows.append(row)
            if len(rows) > MAX_ROWS:
                raise RequestProblem(413, f"more than {MAX_ROWS} time spans match")
        gap_s = values.get("mergegaps")
        rows = list(joined(rows, gap_s, overlaps="overlap" in merge))
        if service is EXTENT:
            rows = list(extents(rows))
        rows = ordered(rows, values.get("orderby", _ORDERS[0]))[: values.get("limit")]
        if not rows:
            return fdsn.empty_response(request, service, values)
        return _written(service, rows, values, merge)

    for service in (SERVICE, EXTENT):

        def of_service(
            request: Request,
            values: Mapping[str, Any],
            selections: Sequence[Selection],
            user: str | None,
            service: Service = service,
        ) -> Response:
            return answer(service, request, values, selections, user)

        add_channel_query(router, service, cited(space, of_service), access)
    add_descriptions(router, SERVICE)
    return router


def stretches(
    holdings: Holdings, selections: Sequence[Selection], *, by_rate: bool
) -> Iterator[Row]:
    """Yield the unbroken time spans selected, in (channel, rate, time) order."""
    archive = holdings.space.archive
    for stream, asked in holdings.streams(selections):
        found: set[tuple[SeedId, float, TimeSpan]] = set()
        for span, of_span in asked.items():
            for (seed_id, rate_hz), parts in archive.coverage_by_rate(stream, span).items():
                if any(selection.names(seed_id) for selection in of_span):
                    found.update((seed_id, rate_hz, part) for part in parts)
        updates = _updates(holdings.space, str(stream)) if found else []
        for seed_id, rate_hz, part in sorted(found):
            last_ns = part.end_ns - round(NS_PER_S / rate_hz)
            yield Row(
                seed_id,
                rate_hz if by_rate else None,
                TimeSpan(part.start_ns, max(part.start_ns, last_ns)),
                max((at for span, at in updates if span.overlaps(part)), default=None),
                is_restricted=holdings.is_restricted(seed_id),
            )


def joined(rows: Sequence[Row], gap_s: float | None, *, overlaps: bool) -> Iterator[Row]:
    """Yield rows of one channel and rate as one where nothing keeps them apart.

    Parameters
    ----------
    rows : sequence of Row
        In any order.
    gap_s : float, optional
        Longest gap, in seconds, that breaks no span.
    overlaps : bool
        Whether spans that overlap become one.
    """
    if gap_s is None and not overlaps:
        yield from rows
        return
    gap_ns = round((gap_s or 0.0) * NS_PER_S)
    last: Row | None = None
    for row in sorted(rows, key=lambda one: (one.seed_id, one.rate_hz or 0.0, one.span)):
        if last is None or (last.seed_id, last.rate_hz) != (row.seed_id, row.rate_hz):
            is_next = False
        else:
            apart_ns = row.span.start_ns - last.span.end_ns
            is_next = apart_ns <= gap_ns if apart_ns > 0 else overlaps or gap_s is not None
        if last is not None and is_next:
            last = _both(last, row)
            continue
        if last is not None:
            yield last
        last = row
    if last is not None:
        yield last


def extents(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield one row for each channel and rate, from its earliest to its latest sample."""

    def key(row: Row) -> tuple[SeedId, float]:
        return row.seed_id, row.rate_hz or 0.0

    for _, group in groupby(sorted(rows, key=key), key=key):
        first, *others = group
        for row in others:
            first = _both(first, row, count=True)
        yield first


def ordered(rows: Sequence[Row], order: str) -> list[Row]:
    """Sort rows; what is not known to be updated comes last."""
    by_name = sorted(rows, key=lambda row: (row.seed_id, row.span, row.rate_hz or 0.0))
    if order.startswith("timespancount"):
        return sorted(by_name, key=lambda row: row.n_spans, reverse=order.endswith("_desc"))
    if order.startswith("latestupdate"):
        sign = -1 if order.endswith("_desc") else 1
        return sorted(by_name, key=lambda row: (not row.updated_ns, sign * (row.updated_ns or 0)))
    return by_name


def _both(one: Row, two: Row, *, count: bool = False) -> Row:
    span = TimeSpan(
        min(one.span.start_ns, two.span.start_ns), max(one.span.end_ns, two.span.end_ns)
    )
    known = [at for at in (one.updated_ns, two.updated_ns) if at is not None]
    n_spans = one.n_spans + two.n_spans if count else 1
    return replace(one, span=span, updated_ns=max(known, default=None), n_spans=n_spans)


def _choices(values: Mapping[str, Any], name: str, allowed: set[str]) -> set[str]:
    """Return the parts of a list of words.

    Raises
    ------
    RequestProblem
        With status 400 if one is not allowed.
    """
    wanted = {part.strip().lower() for part in values.get(name, "").split(",")} - {""}
    if unknown := wanted - allowed:
        listed = ", ".join(sorted(allowed))
        raise RequestProblem(400, f"{name} is {min(unknown)[:40]!r}; allowed are {listed}")
    return wanted


def _updates(space: Workspace, key: str) -> list[tuple[TimeSpan, int]]:
    """Return when parts of a stream were last archived."""
    table = schema.ledger
    query = select(table.c.start_ns, table.c.end_ns, table.c.updated_ns).where(
        table.c.product == "archive", table.c.key == key
    )
    with space.catalog.database.read() as connection:
        return [(TimeSpan(start, end), at) for start, end, at in connection.execute(query)]


def _columns(service: Service, values: Mapping[str, Any], merge: set[str]) -> dict[str, str]:
    """Return the columns of an answer, with the units GeoCSV wants."""
    columns = dict.fromkeys(("Network", "Station", "Location", "Channel"), "unitless")
    if "quality" not in merge:
        columns["Quality"] = "unitless"
    if "samplerate" not in merge:
        columns["SampleRate"] = "hertz"
    columns |= dict.fromkeys(("Earliest", "Latest"), "ISO_8601")
    if service is EXTENT or values.get("show") == "latestupdate":
        columns["Updated"] = "ISO_8601"
    if service is EXTENT:
        columns |= {"TimeSpans": "unitless", "Restriction": "unitless"}
    return columns


_TYPES = {"SampleRate": "float", "Earliest": "datetime", "Latest": "datetime",
          "Updated": "datetime", "TimeSpans": "integer"}  # fmt: skip


def _cells(row: Row) -> dict[str, str]:
    codes = row.seed_id
    return {
        "Network": codes.network,
        "Station": codes.station,
        "Location": codes.location,
        "Channel": codes.channel,
        "Quality": QUALITY,
        "SampleRate": "" if row.rate_hz is None else f"{row.rate_hz:.10g}",
        "Earliest": _time(row.span.start_ns),
        "Latest": _time(row.span.end_ns),
        "Updated": ""
        if row.updated_ns is None
        else f"{from_ns(row.updated_ns):%Y-%m-%dT%H:%M:%SZ}",
        "TimeSpans": str(row.n_spans),
        "Restriction": "RESTRICTED" if row.is_restricted else "OPEN",
    }


def _written(
    service: Service, rows: Sequence[Row], values: Mapping[str, Any], merge: set[str]
) -> Response:
    columns, wanted = _columns(service, values, merge), values.get("format", "text")
    if wanted == "json":
        return Response(_json(service, rows, columns), media_type="application/json")
    if wanted == "request":
        lines = [
            f"{r.seed_id.network} {r.seed_id.station} {r.seed_id.location or '--'} "
            f"{r.seed_id.channel} {_time(r.span.start_ns)} {_time(r.span.end_ns)}"
            for r in rows
        ]
        return PlainTextResponse("\n".join(lines) + "\n")
    cells = [_cells(row) for row in rows]
    if wanted == "geocsv":
        head = [
            "#dataset: GeoCSV 2.0",
            "#delimiter: |",
            f"#field_unit: {'|'.join(columns.values())}",
            f"#field_type: {'|'.join(_TYPES.get(name, 'string') for name in columns)}",
            "|".join(columns),
        ]
        lines = [*head, *("|".join(row[name] for name in columns) for row in cells)]
        return Response("\n".join(lines) + "\n", media_type="text/csv; charset=utf-8")
    for row in cells:
        row["Location"] = row["Location"] or "--"
    titles = {name: f"#{name}" if name == "Network" else name for name in columns}
    widths = {
        name: max(len(title), *(len(row[name]) for row in cells)) for name, title in titles.items()
    }
    table = [titles, *({name: row[name] or "NA" for name in columns} for row in cells)]
    lines = [" ".join(row[name].ljust(widths[name]) for name in columns).rstrip() for row in table]
    return PlainTextResponse("\n".join(lines) + "\n")


def _json(service: Service, rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """Write the JSON form: one entry a channel and rate, with its time spans."""
    sources: list[dict[str, Any]] = []
    for row in rows:
        cells = _cells(row)
        source: dict[str, Any] = {
            name.lower(): cells[name]
            for name in ("Network", "Station", "Location", "Channel", "Quality")
            if name in columns
        }
        if row.rate_hz is not None:
            source["samplerate"] = row.rate_hz
        if service is EXTENT:
            source |= {
                "earliest": cells["Earliest"],
                "latest": cells["Latest"],
                "timespanCount": row.n_spans,
                "updated": cells["Updated"] or None,
                "restriction": cells["Restriction"],
            }
            sources.append(source)
            continue
        span = [cells["Earliest"], cells["Latest"]]
        if "Updated" in columns:
            span.append(cells["Updated"])
        if sources and {k: v for k, v in sources[-1].items() if k != "timespans"} == source:
            sources[-1]["timespans"].append(span)
        else:
            sources.append({**source, "timespans": [span]})
    document = {
        "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "version": 1.0,
        "datasources": sources,
    }
    return json.dumps(document, ensure_ascii=False)


def _time(time_ns: int) -> str:
    return f"{from_ns(time_ns):%Y-%m-%dT%H:%M:%S.%fZ}"
