"""Ingest, pick and locate, one after the other."""

from typing import NamedTuple

from geomon.config import Config
from geomon.services.ingest import IngestReport, ingest
from geomon.services.locate import LocateReport, locate
from geomon.services.pick import PickReport, pick, picker_label
from geomon.services.reports import Progress, no_progress
from geomon.times import TimeSpan


class RunReports(NamedTuple):
    """The reports of the three stages."""

    ingest: IngestReport
    pick: PickReport
    locate: LocateReport


def run(
    config: Config,
    span: TimeSpan,
    *,
    stations: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> RunReports:
    """Do the three stages over a span; each does only what is not done yet.

    Raises
    ------
    SourceError
        If no station metadata can be had at all.
    PickerMismatch
        If the picker does not exist or cannot be loaded.
    """
    picker_label(config)  # told before hours are spent on fetching
    return RunReports(
        ingest(config, span, stations=stations, progress=progress),
        pick(config, span, stations=stations, progress=progress),
        locate(config, span, progress=progress),
    )
