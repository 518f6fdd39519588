"""Windows that people review whole: every onset in them is marked, and there is no other.

They serve two ends that must not mix. The exam of all challengers is drawn at random from test
hours, whatever anyone saw there. For training, those come first where the picker is least sure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from geomon.config import Config
from geomon.errors import DataError, PickerMismatch
from geomon.events import Phase
from geomon.ids import StreamId
from geomon.picking.card import picker_folder, read_card
from geomon.services.coverage import archived_spans
from geomon.services.pick import thresholds
from geomon.services.proposals import WantedPick, check_actor, manual_pick
from geomon.services.workspace import Workspace, workspace
from geomon.stores.pickers import Pickers
from geomon.stores.windows import WindowChange, Windows
from geomon.times import TimeSpan, format_ns, to_ns
from geomon.training.dataset import WINDOW_NS, drawn_windows, part_of

type Purpose = Literal["exam", "training"]

DOUBT = 0.2
"""A pick whose probability is this far from its threshold or farther is in no doubt."""
_LEAST_SHARE = 0.5  # of a window that must be archived to be worth a look


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A window that nobody reviewed yet.

    Attributes
    ----------
    stream_id, span
        Which one.
    n_picks, n_doubtful : int
        Automatic picks in it, and those near their threshold.
    doubt : float
        Sum over its picks: 1 at the threshold, 0 from `DOUBT` away on.
    """

    stream_id: StreamId
    span: TimeSpan
    n_picks: int = 0
    n_doubtful: int = 0
    doubt: float = 0.0


def current_thresholds(config: Config) -> dict[Phase, float]:
    """Return from where on a probability is a pick: by the config, the card, or one half."""
    try:
        card = read_card(picker_folder(config.picker.name)).thresholds
    except PickerMismatch:
        card = {}
    return {"P": 0.5, "S": 0.5, **card, **thresholds(config)}


def n_reviewed(config: Config, span: TimeSpan, purpose: Purpose) -> int:
    """Count the windows of a span that were reviewed for a purpose."""
    held = Pickers(workspace(config).catalog.database).reviewed_windows(span)
    return sum(_purpose_of(one.stream_id, one.span) == purpose for one in held)


def open_windows(
    config: Config, span: TimeSpan, purpose: Purpose, *, limit: int
) -> list[OpenWindow]:
    """Return windows of a span that are worth a review, in the order to review them.

    For the exam that is the order in which they are drawn; for training the least sure come
    first, and those without a doubtful pick are left out. Streams with restricted channels and
    windows that are mostly gap are left out too.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Where to look; whole windows of the picker's grid count.
    purpose : {"exam", "training"}
        What the windows are for.
    limit : int
        Windows returned, at most.
    """
    space = workspace(config)
    reviewed = Pickers(space.catalog.database).reviewed_windows(span)
    done = {(one.stream_id, one.span) for one in reviewed}
    streams = _open_streams(space, span)
    counted = _counted(space, span, current_thresholds(config))
    if purpose == "exam":
        wanted = [
            counted.get((stream, window), OpenWindow(stream, window))
            for stream, window in drawn_windows(streams, span, 1.0)
        ]
    else:
        doubtful = [
            one
            for one in counted.values()
            if one.doubt > 0
            and one.stream_id in streams
            and _purpose_of(one.stream_id, one.span) == "training"
        ]
        wanted = sorted(doubtful, key=lambda one: (-one.doubt, one.span, one.stream_id))
    found: list[OpenWindow] = []
    for one in wanted:
        if len(found) == limit:
            break
        if (one.stream_id, one.span) not in done and _is_archived(config, one):
            found.append(one)
    return found


def review_window(
    config: Config,
    stream_id: StreamId,
    start_ns: int,
    onsets: Sequence[WantedPick],
    *,
    actor: str,
    reason: str = "",
) -> WindowChange:
    """Say that these are all onsets in a window; see `Windows.review`.

    Raises
    ------
    DataError
        If no window starts there, an onset is not of this stream or not in the window, or an
        event rests on a manual pick that is no onset.
    """
    check_actor(actor)
    if start_ns % WINDOW_NS:
        msg = f"{stream_id}: no window starts at {format_ns(start_ns)}"
        raise DataError(msg)
    window = TimeSpan(start_ns, start_ns + WINDOW_NS)
    for one in onsets:
        if one.seed_id.stream_id != stream_id or not window.contains(to_ns(one.time)):
            msg = f"{one.seed_id}: {one.phase} at {one.time.isoformat()} is not in this window"
            raise DataError(msg)
    picks = [manual_pick(one, actor) for one in onsets]
    windows = Windows(workspace(config).catalog.database)
    return windows.review(stream_id, window, picks, actor=actor, reason=reason)


def _purpose_of(stream_id: StreamId, window: TimeSpan) -> Purpose | None:
    part = part_of(stream_id.station_id, window)
    return "exam" if part == "test" else "training" if part in ("train", "validation") else None


def _open_streams(space: Workspace, span: TimeSpan) -> set[StreamId]:
    """Return the archived streams none of whose channels is restricted in a span."""
    closed = {
        channel.seed_id.stream_id
        for channel in space.public_stations().channels
        if channel.restricted and channel.epoch.overlaps(span)
    }
    return set(space.archive.streams()) - closed


def _counted(
    space: Workspace, span: TimeSpan, limits: Mapping[Phase, float]
) -> dict[tuple[StreamId, TimeSpan], OpenWindow]:
    """Count the automatic picks of every window that has any, and how much in doubt they are."""
    found: dict[tuple[StreamId, TimeSpan], OpenWindow] = {}
    for pick in space.catalog.picks(span, mode="automatic"):
        start_ns = to_ns(pick.time) // WINDOW_NS * WINDOW_NS
        window = TimeSpan(start_ns, start_ns + WINDOW_NS)
        if not span.contains(window.start_ns) or window.end_ns > span.end_ns:
            continue
        key = (pick.seed_id.stream_id, window)
        one = found.setdefault(key, OpenWindow(*key))
        away = abs(pick.probability - limits.get(pick.phase, 0.5))
        doubt = max(0.0, 1 - away / DOUBT)
        found[key] = replace(
            one, n_picks=one.n_picks + 1, n_doubtful=one.n_doubtful + (doubt > 0),
            doubt=one.doubt + doubt,
        )  # fmt: skip
    return found


def _is_archived(config: Config, window: OpenWindow) -> bool:
    held = archived_spans(config, window.stream_id, window.span)
    return sum(part.duration_s for part in held) >= _LEAST_SHARE * window.span.duration_s
