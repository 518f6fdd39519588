"""Direction of the first motion of P: up, down, or not to be told, and how likely that is right.

The onset may be anywhere the pick's uncertainty allows and the samples do: noise before it, signal
from it on (both taken as Gaussian, of the deviations seen before and after the pick, as in pickers
after Akaike: Maeda 1985, https://doi.org/10.4294/zisin1948.38.3_365). Every such onset votes with
its first swing, as surely as that stands out of the noise. The share of votes is spread as in
Platt's scaling, so that 90 of 100 first motions said to be right with 90 % are: fitted to simulated
earthquakes, measured on others (``python -m tests.benchmarks.events``).
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geomon.events import Polarity

BEFORE, AFTER = 200, 40  # samples around the pick that are looked at

_RATE_HZ = 100.0
_NOISE_BEGIN, _NOISE_END = 30, 170  # noise is taken from here
_ONSET_BEGIN, _ONSET_END = 170, 230  # the onset is within 0.3 s of the pick
_SIGNAL_END = 230  # signal is taken from the pick to here
_LEAST_RATIO = 1.5  # of the deviations of signal and noise
_LEAST_UNCERTAINTY_S = 0.02
_DOF = 4  # of the distribution of pick errors, Student's t
_STANDS_OUT = 3.0  # deviations of the noise that make a swing one deviation of a vote
_SPREAD = 1.25  # of the votes' log odds
_SUREST = 0.99
_LEAST = 0.8  # less likely ones are not told
_PLATEAU = 3  # equal samples at its top that make a swing clipped


def first_motion(
    filtered: NDArray[np.float64], counts: NDArray[np.float64], uncertainty_s: float
) -> tuple[Polarity, float | None]:
    """Tell the direction of the first swing after a pick, and how likely it is right.

    Parameters
    ----------
    filtered : array of float64, shape (BEFORE + AFTER,)
        Vertical component after a causal filter, at 100 Hz; the pick is at sample `BEFORE`.
    counts : array of float64, same shape
        The same before any filter.
    uncertainty_s : float
        One standard deviation of the pick's time.

    Returns
    -------
    polarity : {'positive', 'negative', 'undecidable'}
        Sign of the counts, which is up where the channel's dip is -90 degrees. Undecidable where
        the swing is clipped or too little is known.
    probability : float or None
        That the sign is right, from 0.8 to 0.99; None where it cannot be told.

    Examples
    --------
    >>> trace = np.random.default_rng(0).normal(size=BEFORE + AFTER)
    >>> trace[BEFORE:] += 50 * np.sin(np.arange(AFTER) / 3)
    >>> first_motion(trace, trace, 0.05), first_motion(-trace, -trace, 0.05)
    (('positive', 0.99), ('negative', 0.99))
    """
    up = _chance_up(
        np.ascontiguousarray(filtered), np.ascontiguousarray(counts),
        max(uncertainty_s, _LEAST_UNCERTAINTY_S),
    )  # fmt: skip
    probability = round(min(max(up, 1 - up), _SUREST), 3)
    if not probability >= _LEAST:
        return "undecidable", None
    return "positive" if up > 0.5 else "negative", probability


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _chance_up(
    filtered: NDArray[np.float64], counts: NDArray[np.float64], uncertainty_s: float
) -> float:
    """Return the probability that the first swing goes up, 0.5 where it cannot be told."""
    before = filtered[_NOISE_BEGIN:_NOISE_END]
    motion = filtered - before.mean()
    noise = before.std()
    if noise == 0:
        return 0.5
    signal = math.sqrt((motion[BEFORE:_SIGNAL_END] ** 2).mean())
    signal = max(signal, _LEAST_RATIO * noise)
    begin, end, top = _swings(motion)
    # Log of how likely an onset is: its place, and noise up to it but not beyond.
    likely = np.empty(_ONSET_END - _ONSET_BEGIN)
    quiet = 0.0
    for k in range(_ONSET_BEGIN, _ONSET_END):
        off = (k - BEFORE) / _RATE_HZ / uncertainty_s
        likely[k - _ONSET_BEGIN] = quiet - (_DOF + 1) / 2 * math.log1p(off**2 / _DOF)
        as_noise = -0.5 * (motion[k] / noise) ** 2 - math.log(noise)
        as_signal = -0.5 * (motion[k] / signal) ** 2 - math.log(signal)
        quiet += as_noise - as_signal
    likely = np.exp(likely - likely.max())
    up = 0.0
    for k in range(_ONSET_BEGIN, _ONSET_END):
        vote = 0.5 * (1 + math.erf(top[k] / (_STANDS_OUT * noise) / math.sqrt(2)))
        up += likely[k - _ONSET_BEGIN] * vote
    up = min(max(up / likely.sum(), 1e-6), 1 - 1e-6)
    best = _ONSET_BEGIN + int(np.argmax(likely))
    swing = counts[begin[best] : end[best]]
    extreme = swing.max() if top[best] > 0 else swing.min()
    if end[best] == motion.size or (swing == extreme).sum() >= _PLATEAU:
        return 0.5
    return float(1 / (1 + ((1 - up) / up) ** _SPREAD))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _swings(
    motion: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return, for each sample, where its run of one sign begins, ends, and the run's extreme."""
    size = motion.size
    begin, end, top = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    start = 0
    for t in range(1, size + 1):
        if t == size or (motion[t] > 0) != (motion[start] > 0):
            run = motion[start:t]
            begin[start:t], end[start:t] = start, t
            top[start:t] = run.max() if motion[start] > 0 else run.min()
            start = t
    return begin, end, top
