"""Station corrections from located events: what each station is late by, again and again.

The residuals of a station have a part that is the same for every event: the rock beneath it, its
clock, its cable. The median over many events is that part; few picks are believed less (shrunk
towards zero, as an empirical Bayes estimate is: Efron and Morris 1973, J. Am. Stat. Assoc. 68,
117-130). Events move once their picks are corrected, so both are repeated until the delays settle,
as in joint hypocentre determination (Pujol 1988, Bull. Seismol. Soc. Am. 78, 1179-1189).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geomon.events import Phase, Pick
from geomon.ids import StationId
from geomon.locating.fit import Fit
from geomon.locating.locate import Locator
from geomon.locating.misfit import weights
from geomon.velocity.corrections import StationDelay

type Floats = NDArray[np.float64]

MIN_PICKS = 5
_MOST_ROUNDS = 20
_SETTLED = 0.03  # share of the delays (root mean square) that they may still change by
_SETTLED_S = 2e-4
_LEAST_SPREAD_S = 0.002
_LEAST_WEIGHT = 0.1  # a pick that counts less is wrong, and says nothing about its station
_MAD = 1.4826  # median absolute deviations in a standard deviation


@dataclass(frozen=True, slots=True)
class Estimated:
    """Station corrections, and what they are worth.

    Attributes
    ----------
    delays : tuple of StationDelay
        In order of station and phase; those with too few picks are left out.
    rms_before_s, rms_after_s : float
        Median over events of the weighted residual, without and with them.
    n_events, n_rounds : int
        Events they rest on, and how often those were located.
    has_settled : bool
        Whether the last round hardly changed them.
    """

    delays: tuple[StationDelay, ...]
    rms_before_s: float
    rms_after_s: float
    n_events: int
    n_rounds: int
    has_settled: bool


@dataclass(frozen=True, slots=True)
class TooFew:
    """Why there are no corrections."""

    reason: str


def estimate(
    locator: Locator, events: Sequence[Sequence[Pick]], *, min_picks: int = MIN_PICKS
) -> Estimated | TooFew:
    """Find station corrections from the picks of events.

    P is late by nothing on average: what all stations share is the origin time's.

    Parameters
    ----------
    locator : Locator
        Locates them; its own station corrections are not used.
    events : sequence of sequence of Pick
        The picks of each event.
    min_picks : int
        Fewest picks of one phase at one station that make a correction.

    Returns
    -------
    Estimated or TooFew
        With the reason when no station has enough picks.
    """
    bare = locator.network.corrected(())
    delays: tuple[StationDelay, ...] = ()
    starts: dict[int, Floats] = {}
    before = after = 0.0
    n_used = n_rounds = 0
    has_settled = False
    while n_rounds < _MOST_ROUNDS and not has_settled:
        now = replace(locator, network=bare.corrected(delays))
        fits = _fits(now, events, starts)
        if not fits:
            return TooFew(f"none of {len(events)} events could be located")
        starts = {k: fit.point for k, fit in fits.items()}
        after = float(np.median([_rms(fit) for fit in fits.values()]))
        before = before or after
        n_used, n_rounds = len(fits), n_rounds + 1
        late = _shrunk(_lateness(now, fits.values()), min_picks)
        if not late:
            return TooFew(
                f"no station has {min_picks} picks of one phase in {len(fits)} located events"
            )
        has_settled = _is_settled(delays, late)
        delays = late
    return Estimated(delays, before, after, n_used, n_rounds, has_settled)


def _fits(
    locator: Locator, events: Sequence[Sequence[Pick]], starts: Mapping[int, Floats]
) -> dict[int, Fit]:
    found = {}
    for k, picks in enumerate(events):
        fit = locator.fit(picks, starts.get(k))
        if isinstance(fit, Fit):
            found[k] = fit
    return found


def _rms(fit: Fit) -> float:
    weight = weights(fit.residual_s, fit.sigma_s)
    return float(np.sqrt((weight * fit.residual_s**2).sum() / weight.sum()))


def _lateness(locator: Locator, fits: Iterable[Fit]) -> dict[tuple[StationId, Phase], Floats]:
    """Return what the picks of each station and phase are late by, corrections not taken off."""
    found: dict[tuple[StationId, Phase], list[float]] = {}
    for fit in fits:
        weight = weights(fit.residual_s, fit.sigma_s)
        for pick, residual, counts in zip(fit.data.picks, fit.residual_s, weight, strict=True):
            if counts >= _LEAST_WEIGHT:
                late = float(residual) + locator.network.delay_of(pick)
                found.setdefault((pick.seed_id.station_id, pick.phase), []).append(late)
    return {key: np.array(values) for key, values in sorted(found.items())}


def _shrunk(
    late: Mapping[tuple[StationId, Phase], Floats], min_picks: int
) -> tuple[StationDelay, ...]:
    """Return medians, shrunk by how much of their spread is chance, P about zero on average."""
    enough = {key: values for key, values in late.items() if values.size >= min_picks}
    if not enough:
        return ()
    median = np.array([np.median(values) for values in enough.values()])
    count = np.array([values.size for values in enough.values()])
    spread = np.array(
        [_MAD * np.median(np.abs(v - m)) for v, m in zip(enough.values(), median, strict=True)]
    )
    # The variance of a median is that of a mean, times pi / 2.
    error = np.maximum(spread, _LEAST_SPREAD_S) * np.sqrt(np.pi / 2 / count)
    is_p = np.array([phase == "P" for _, phase in enough])
    median -= median[is_p].mean() if is_p.any() else median.mean()
    true = max(float((median**2 - error**2).mean()), _LEAST_SPREAD_S**2)
    share = true / (true + error**2)
    delay = share * median
    delay -= delay[is_p].mean() if is_p.any() else delay.mean()
    return tuple(
        StationDelay(station, phase, round(float(d), 4), round(float(e), 4), int(n))
        for (station, phase), d, e, n in zip(
            enough, delay, np.sqrt(share) * error, count, strict=True
        )
    )


def _is_settled(before: Iterable[StationDelay], now: Sequence[StationDelay]) -> bool:
    """Tell whether delays are what they were, but for a small share of themselves."""
    known = {(one.station, one.phase): one.delay_s for one in before}
    if known.keys() != {(one.station, one.phase) for one in now}:
        return False
    delay = np.array([one.delay_s for one in now])
    change = delay - [known[one.station, one.phase] for one in now]
    limit = max(_SETTLED * float(np.sqrt((delay**2).mean())), _SETTLED_S)
    return bool(np.sqrt((change**2).mean()) <= limit)
