"""How much of every station's hours or days was archived, picked and searched for events.

What tells "no earthquake" from "no data": the numbers behind the page's coverage grid. Few queries
answer for years of many stations.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.config import Config
from geomon.errors import PickerMismatch, StationMetadataError
from geomon.ids import StationId
from geomon.services.coverage import archived_spans, common
from geomon.services.pick import PIECE_NS, known_pieces, picker_version
from geomon.services.workspace import workspace
from geomon.stores.ledger import NETWORK, State
from geomon.times import NS_PER_S, TimeSpan, merged

type Percent = NDArray[np.uint8]

_NOTHING, _LITTLE = 1e-6, 1e-4
_SETTLED: tuple[State, ...] = ("done", "nodata")


@dataclass(frozen=True, slots=True, eq=False)
class StationShares:
    """Percent of each step, shape (n_steps,), that one station went through the stages."""

    station_id: StationId
    archived: Percent
    picked: Percent
    located: Percent


def shares(config: Config, span: TimeSpan, step_ns: int) -> list[StationShares]:
    """Return one row a station, in order; any sensor of a station counts for it.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        What is asked about; steps are whole ones since 1970, of which those at the ends count only
        as far as they lie within.
    step_ns : int
        Length of a step, nanoseconds.
    """
    space = workspace(config)
    try:
        known = space.stations().station_ids()
    except StationMetadataError:
        known = []
    archived: dict[StationId, list[TimeSpan]] = {station_id: [] for station_id in known}
    picked: dict[StationId, list[TimeSpan]] = defaultdict(list)
    pieces = _picked(config, span)
    for stream in space.archive.streams():
        held = archived_spans(config, stream, span)
        archived.setdefault(stream.station_id, []).extend(held)
        picked[stream.station_id] += common(held, pieces.get(str(stream), ()))
    located = space.coverage.spans("locate", NETWORK, span, states=("done",))
    rows = []
    for station_id in sorted(archived):
        done = merged(picked[station_id])
        rows.append(
            StationShares(
                station_id,
                percent(merged(archived[station_id]), span, step_ns),
                percent(done, span, step_ns),
                percent(merged(common(done, located)), span, step_ns),
            )
        )
    return rows


def percent(spans: Sequence[TimeSpan], span: TimeSpan, step_ns: int) -> Percent:
    """Return the percentage of each step's part of a span that ordered, disjoint spans cover.

    A step that is covered at all but not wholly never rounds to 0 or 100.
    """
    whole = span.aligned(step_ns)
    edges = np.arange(whole.start_ns, whole.end_ns + step_ns, step_ns, dtype=np.int64)
    edges_s = (np.clip(edges, span.start_ns, span.end_ns) - span.start_ns) / NS_PER_S
    if not spans:
        return np.zeros(edges.size - 1, dtype=np.uint8)
    marks_ns = np.array([[one.start_ns, one.end_ns] for one in spans], dtype=np.int64)
    marks_s = (marks_ns - span.start_ns) / NS_PER_S
    done_s = np.concatenate([[0.0], np.cumsum(marks_s[:, 1] - marks_s[:, 0])])
    covered_s = np.interp(edges_s, marks_s.ravel(), np.repeat(done_s, 2)[1:-1])
    share = np.diff(covered_s) / np.maximum(np.diff(edges_s), 1e-9)
    rounded = np.clip(np.round(100 * share), 1, 99)
    rounded[share < _NOTHING] = 0
    rounded[share > 1 - _LITTLE] = 100
    return np.asarray(rounded, dtype=np.uint8)


def _picked(config: Config, span: TimeSpan) -> dict[str, list[TimeSpan]]:
    """Return, by stream, what the current picker has read; nothing where there is none."""
    try:
        version = picker_version(config)
    except PickerMismatch:
        return {}
    found: dict[str, list[TimeSpan]] = defaultdict(list)
    ledger = workspace(config).coverage
    for entry in ledger.entries("pick", span=span.aligned(PIECE_NS), states=_SETTLED):
        if entry.version == version:
            found[entry.key] += [
                TimeSpan(piece * PIECE_NS, (piece + 1) * PIECE_NS)
                for piece in known_pieces(entry.input_hash)
            ]
    return {key: merged(spans) for key, spans in found.items()}
