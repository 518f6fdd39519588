"""Write what a streaming source sends to the archive, and only then tell the source."""

import logging
from dataclasses import dataclass, field
from datetime import date

from geomon.config import Config
from geomon.errors import GeomonError
from geomon.ids import SeedId, StreamId
from geomon.services.reports import Progress, distinct, no_progress
from geomon.services.workspace import workspace
from geomon.sources.base import StreamingSource
from geomon.times import TimeSpan, merged

logger = logging.getLogger(__name__)

_ANSWERED = frozenset({"data", "nodata"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What a streaming source had sent.

    Attributes
    ----------
    n_batches, n_bytes : int
        Writes to the archive, and bytes received for them.
    n_new_samples : int
        Samples the archive did not hold.
    changed : tuple of TimeSpan
        Where the archive now answers differently, all channels together.
    days : tuple of (StreamId, date)
        Sensors and days with new samples.
    timing_quality : dict of SeedId to float
        What the records say of their clock, percent; channels that say nothing are absent.
    problems : tuple of str
        One line for each thing that went wrong or is missing.
    failed : bool
        Whether not all there was could be had or written; the next time goes on from there.
    """

    n_batches: int = 0
    n_bytes: int = 0
    n_new_samples: int = 0
    changed: tuple[TimeSpan, ...] = ()
    days: tuple[tuple[StreamId, date], ...] = ()
    timing_quality: dict[SeedId, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    failed: bool = False


def drain(
    config: Config,
    span: TimeSpan,
    *,
    stations: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> Drained:
    """Archive all a streaming source holds since the last time; nothing for other sources.

    Every batch is durable in the archive before the source is told so: a process killed at any
    moment loses nothing, and what it had not told is received again, which changes nothing.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        When the stations wanted are in operation; what is archived may be older or newer.
    stations : tuple of str
        ``NET.STA`` patterns; all stations when empty.
    progress : callable
        Told about every batch.

    Raises
    ------
    StationMetadataError
        If nothing says which stations there are.
    """
    space = workspace(config)
    source = space.source
    if not isinstance(source, StreamingSource):
        return Drained()
    inventory = space.stations().selected(stations)
    streams = set(inventory.preferred_streams(span, config.network.channels))
    seed_ids = [s for s in inventory.seed_ids(span) if s.stream_id in streams]
    n_batches = n_bytes = n_new = 0
    changed: list[TimeSpan] = []
    days: set[tuple[StreamId, date]] = set()
    timing_quality: dict[SeedId, float] = {}
    problems: list[str] = []
    failed = False
    try:
        for batch in source.collect(seed_ids):
            fetched = batch.fetched
            problems += fetched.problems
            failed |= fetched.outcome not in _ANSWERED
            timing_quality |= fetched.timing_quality
            space.catalog.requests.note(fetched.asked)
            if fetched.segments:
                reports = space.archive.write(fetched.segments, fetched.provenance)
                n_batches += 1
                n_bytes += fetched.n_bytes
                n_new += sum(report.n_new_samples for report in reports)
                changed += (part for report in reports for part in report.changed)
                days |= {(r.stream_id, r.day) for r in reports if r.n_new_samples}
                progress("stream", n_batches, n_batches)
            batch.commit()
    except GeomonError as error:
        logger.warning("stream of %s failed: %s", config.network.name, error)
        problems.append(str(error))
        failed = True
    logger.info(
        "archived stream of %s batches=%d new=%d bytes=%d",
        config.network.name, n_batches, n_new, n_bytes,
    )  # fmt: skip
    return Drained(
        n_batches=n_batches,
        n_bytes=n_bytes,
        n_new_samples=n_new,
        changed=tuple(merged(changed)),
        days=tuple(sorted(days)),
        timing_quality=timing_quality,
        problems=distinct(problems),
        failed=failed,
    )
