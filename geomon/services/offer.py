"""What it would take to pick again what an older champion picked: offered, never done silently."""

from dataclasses import dataclass

from geomon.config import Config
from geomon.errors import SourceError
from geomon.services.backfill import BackfillPlan, plan
from geomon.services.champion import CHAMPION
from geomon.services.workspace import workspace
from geomon.times import NS_PER_DAY, TimeSpan, format_ns


@dataclass(frozen=True, slots=True)
class BackfillOffer:
    """An offer to bring the catalogue to the new champion.

    `span` is what was picked so far, None when nothing was; `plan` holds the cost, None when it
    cannot be told; `command` does it.
    """

    span: TimeSpan | None
    plan: BackfillPlan | None
    command: str
    note: str = ""

    def text(self) -> str:
        """Return the offer for a person."""
        lines = [self.note] if self.note else []
        if self.span is not None:
            lines.append(f"picked with older pickers: {self.span}")
        if self.plan is not None:
            lines.append(self.plan.text())
        if self.command:
            lines.append(f"to bring it to the new champion: {self.command}")
        return "\n".join(lines)


def offer_backfill(config: Config) -> BackfillOffer:
    """Return what picking everything again with the champion would take; nothing is done.

    Raises
    ------
    StoreError
        If the catalogue cannot be read.
    """
    if config.picker.name != CHAMPION:
        note = f"picker.name is {config.picker.name!r}: set it to {CHAMPION} to use the new one"
        return BackfillOffer(None, None, "", note)
    spans = [entry.span for entry in workspace(config).coverage.entries("pick")]
    if not spans:
        return BackfillOffer(None, None, "", "nothing was picked yet")
    whole = TimeSpan(min(one.start_ns for one in spans), max(one.end_ns for one in spans))
    days = whole.aligned(NS_PER_DAY)
    command = (
        f"geomon backfill run --start {format_ns(days.start_ns)} --end {format_ns(days.end_ns)} "
        "--mode stale"
    )
    try:
        planned = plan(config, days, mode="stale")
    except SourceError as error:
        return BackfillOffer(days, None, command, f"no quote: {error}")
    return BackfillOffer(days, planned, command)
