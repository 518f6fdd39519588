"""Labels out of the catalogue: what analysts said, and what was located well enough to believe.

An analyst's word comes from reviewed events (picks kept, moved, added and taken off), from
verdicts on single picks, and from manual picks. Picks nobody looked at are weak labels where their
event is certain and they fit it; any other pick is in doubt, and nothing is learned around it.
"""

from collections.abc import Iterable
from dataclasses import replace

from geomon.config import Config
from geomon.events import Arrival, Event, Phase, Pick
from geomon.ids import StreamId
from geomon.services.workspace import workspace
from geomon.stores.labels import ReviewedEvent, reviewed_events
from geomon.stores.verdicts import Verdict, Verdicts
from geomon.times import TimeSpan, to_ns
from geomon.training.dataset import Label, LabelKind, Tally, settled

_LEAST_EVENT_PROBABILITY = 0.95
_LEAST_PICK_PROBABILITY = 0.5
_MOST_RESIDUAL_S = 0.3
_LEAST_WEIGHT = 0.5
_ORDER: tuple[LabelKind, ...] = ("rejected", "manual", "reviewed", "automatic", "doubtful")
_NO_EARTHQUAKE = ("not existing", "not reported")


def labels_of(config: Config, span: TimeSpan, tally: Tally) -> list[Label]:
    """Return one label an onset for all that the catalogue says of a span.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Times of the picks.
    tally : Tally
        Is told how many labels of each kind there are, and why others are none.
    """
    catalog = workspace(config).catalog
    reviewed = reviewed_events(catalog.database, span)
    judged = {one.event.event_id for one in reviewed}
    automatic = [event for event in catalog.events(span.start, span.end) if _is_new(event, judged)]
    used = {pick for one in reviewed if _is_real(one.event) for pick in one.event.picks}
    used |= {pick for event in automatic for pick in event.picks}
    labels = [label for one in reviewed for label in _of_reviewed(one, used)]
    labels += _of_verdicts(Verdicts(catalog.database).find(span))
    for event in automatic:
        labels += _of_automatic(event, tally)
    for pick in catalog.picks(span):
        if pick.evaluation_mode == "manual":
            labels.append(_label(pick, "manual", actor=pick.picker))
        elif pick not in used:
            labels.append(_label(pick, "doubtful"))
    inside = [one for one in labels if span.contains(one.time_ns)]
    kept = settled(_most_certain(inside), tally)
    for label in kept:
        tally.kept[f"{label.kind} labels"] += 1
    return kept


def _is_new(event: Event, judged: set[str]) -> bool:
    return event.event_id not in judged and event.review_state == "automatic"


def _is_real(event: Event) -> bool:
    return event.review_state != "rejected" and event.event_type not in _NO_EARTHQUAKE


def _of_reviewed(one: ReviewedEvent, used: set[Pick]) -> list[Label]:
    """Return the onsets of a judged event, and what the analyst says is none."""
    event = one.event
    who = {"actor": one.actor, "reason": one.reason}
    if not _is_real(event):
        return [
            _label(pick, "rejected", **who)
            for pick in (*event.picks, *one.taken_off)
            if pick not in used and pick.evaluation_mode == "automatic"
        ]
    labels = []
    for arrival in event.arrivals:
        pick = arrival.pick
        is_manual = pick.evaluation_mode == "manual"
        signed = {**who, "actor": pick.picker} if is_manual else who
        labels.append(_arrival_label(arrival, event, "manual" if is_manual else "reviewed", signed))
    labels += [
        _label(pick, "rejected", **who)
        for pick in one.taken_off
        if pick not in used and pick.evaluation_mode == "automatic"
    ]
    return labels


def _of_verdicts(verdicts: Iterable[Verdict]) -> list[Label]:
    kinds: dict[str, LabelKind] = {"correct": "reviewed", "wrong": "rejected", "unsure": "doubtful"}
    return [
        _label(one.pick, kinds[one.verdict], actor=one.actor, reason=one.reason) for one in verdicts
    ]


def _of_automatic(event: Event, tally: Tally) -> list[Label]:
    """Return what an event that nobody looked at says: onsets that fit it well, others in doubt."""
    likely = 0.0 if event.probability is None else event.probability
    if likely < _LEAST_EVENT_PROBABILITY or event.preferred_origin.quality == "D":
        tally.dropped["automatic events that are not certain"] += 1
        return [_arrival_label(one, event, "doubtful", {}) for one in event.arrivals]
    labels = []
    for arrival in event.arrivals:
        fits = (
            abs(arrival.residual_s) <= _MOST_RESIDUAL_S
            and arrival.weight >= _LEAST_WEIGHT
            and arrival.pick.probability >= _LEAST_PICK_PROBABILITY
        )
        if not fits:
            tally.dropped["automatic picks that are not certain"] += 1
        labels.append(_arrival_label(arrival, event, "automatic" if fits else "doubtful", {}))
    return labels


def _label(pick: Pick, kind: LabelKind, *, actor: str = "", reason: str = "") -> Label:
    return Label(
        pick.seed_id.stream_id, to_ns(pick.time), pick.phase, kind, actor=actor, reason=reason
    )


def _arrival_label(arrival: Arrival, event: Event, kind: LabelKind, who: dict[str, str]) -> Label:
    pick = arrival.pick
    return Label(
        pick.seed_id.stream_id, to_ns(pick.time), pick.phase, kind,
        event_id=event.event_id, residual_s=arrival.residual_s, **who,
    )  # fmt: skip


def _most_certain(labels: Iterable[Label]) -> list[Label]:
    """Return one label at each stream, time and phase: a person's first, the event kept."""
    by_key: dict[tuple[StreamId, int, Phase], list[Label]] = {}
    for label in labels:
        by_key.setdefault((label.stream_id, label.time_ns, label.phase), []).append(label)
    found = []
    for some in by_key.values():
        by_people = [one for one in some if one.actor] or some
        best = min(by_people, key=lambda one: (_ORDER.index(one.kind), not one.event_id))
        of_event = next((one for one in some if one.event_id), best)
        found.append(
            replace(best, event_id=of_event.event_id, residual_s=of_event.residual_s)
            if best.is_onset
            else best
        )
    return found
