"""Look through the catalogue for one earthquake held as two events, and for two held as one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from geomon.config import Config
from geomon.events import Event, Origin
from geomon.locating.duplicates import Joined, joined, parted
from geomon.locating.solve import Solver
from geomon.services.locate import solver_at
from geomon.services.magnitude import measure
from geomon.services.workspace import workspace
from geomon.stores.queries import OWN
from geomon.stores.tidying import RUN_KIND, Tidying
from geomon.times import NS_PER_S, TimeSpan, to_ns

_NEAR_NS = 180 * NS_PER_S  # picks beyond an event that still bear on its amplitudes


@dataclass(frozen=True, slots=True)
class Tidied:
    """One thing done, or that would be.

    Attributes
    ----------
    kind : {"merged", "split", "kept"}
        Whether other events were merged into this one, it was split, or it was left alone because
        people judged both.
    event_id : str
        The event that stays.
    others : tuple of str
        Those merged into it, or the one split from it (empty where that has no id yet).
    reason : str
        Why.
    """

    kind: Literal["merged", "split", "kept"]
    event_id: str
    others: tuple[str, ...]
    reason: str


def tidy(
    config: Config, span: TimeSpan, *, catalogs: Sequence[str] = (), dry_run: bool = False
) -> tuple[Tidied, ...]:
    """Merge events of a span that are one earthquake, and split those that are two.

    Who reviewed an event is not contradicted: it takes over automatic ones as it is, two reviewed
    ones are only reported, and none is split. Otherwise an own event takes over an imported one,
    the better supported the other, and the earlier of equals. A second run changes nothing. What
    was decided holds when the events are located again (see `geomon.locating.standing`).

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Origin times.
    catalogs : sequence of str
        Imported catalogues whose events are compared too: one that is merged leads to the own
        event by every name it has.
    dry_run : bool
        Only tell.

    Raises
    ------
    StationMetadataError
        If nothing was ever ingested.
    """
    work = _Tidying(config, span, dry_run=dry_run)
    events: list[tuple[str, Event]] = []
    for name in (OWN, *catalogs):
        found = work.catalog.events(span.start_ns, span.end_ns, catalog=name)
        events += [(name, event) for event in found]
    done = work.split([event for name, event in events if name == OWN])
    touched = {one.event_id for one in done}
    return (*done, *work.merge([pair for pair in events if pair[1].event_id not in touched]))


class _Tidying:
    def __init__(self, config: Config, span: TimeSpan, *, dry_run: bool) -> None:
        self.config, self.dry_run = config, dry_run
        self.space = workspace(config)
        self.catalog = self.space.catalog
        self.solver: Solver = solver_at(config, span.start_ns)
        self.run = self.catalog.begin_run(RUN_KIND)
        self.store = Tidying(self.catalog.database)

    def split(self, events: Sequence[Event]) -> list[Tidied]:
        """Part the automatic events that hold two earthquakes."""
        done = []
        for event in events:
            if event.review_state != "automatic":
                continue
            two = parted(event.preferred_origin, self.solver.locator, self.config.association)
            if two is None:
                continue
            before = event.preferred_origin.rms_s
            reason = (
                f"two origins {abs((two[0].time - two[1].time).total_seconds()):.1f} s apart leave "
                f"residuals of {two[0].rms_s:.2f} and {two[1].rms_s:.2f} s, one {before:.2f} s"
            )
            made = ""
            if not self.dry_run:
                stays, leaves = (self._event(event, origin) for origin in two)
                made = self.store.part(
                    event, stays, replace(leaves, event_id=""), reason=reason, run=self.run
                )
            if made or self.dry_run:
                done.append(Tidied("split", event.event_id, (made,) if made else (), reason))
        return done

    def merge(self, events: Sequence[tuple[str, Event]]) -> list[Tidied]:
        """Join the events that are one earthquake."""
        found = joined([event.preferred_origin for _, event in events], self.solver.locator)
        done = []
        for one in found:
            members = sorted((events[k] for k in one.members), key=_standing)
            if members[0][0] != OWN and all(name != OWN for name, _ in members):
                continue  # what other agencies say of each other is not ours to judge
            answer = self._joined(one, members)
            done += [answer] if answer is not None else []
        return done

    def _joined(self, one: Joined, members: Sequence[tuple[str, Event]]) -> Tidied | None:
        (_, stays), *others = members
        is_judged = stays.review_state != "automatic"
        gone = [event for name, event in others if name != OWN or event.review_state == "automatic"]
        if len(gone) < len(others):
            ids = tuple(sorted(event.event_id for _, event in others))
            return Tidied("kept", stays.event_id, ids, f"reviewed, but {one.reason}")
        ids = tuple(sorted(event.event_id for event in gone))
        if not self.dry_run:
            has_own = any(name == OWN for name, _ in others)
            solution = self._event(stays, one.origin) if has_own and not is_judged else None
            if not self.store.join(stays, gone, solution=solution, reason=one.reason, run=self.run):
                return None
        return Tidied("merged", stays.event_id, ids, one.reason)

    def _event(self, event: Event, origin: Origin) -> Event:
        """Return an event with another origin, and the magnitudes that follow."""
        at_ns = to_ns(origin.time)
        picks = list(self.catalog.picks(TimeSpan(at_ns - _NEAR_NS, at_ns + _NEAR_NS)))
        measured = measure(self.config, self.solver, origin, self.space.archive.streams(), picks)
        return replace(
            event, preferred_origin=origin, preferred_magnitude=measured.magnitude,
            other_magnitudes=measured.others, mechanism=measured.mechanism,
        )  # fmt: skip


def _standing(pair: tuple[str, Event]) -> tuple[bool, bool, int, int, str]:
    """Sort key: own before imported, judged before automatic, better supported, earlier."""
    name, event = pair
    return (
        name != OWN, event.review_state == "automatic", -len(event.arrivals),
        to_ns(event.preferred_origin.time), event.event_id,
    )  # fmt: skip
