"""Spot the seismogram: is a series of numbers a record of an earthquake or something else.

A companion of the picker that knows neither units nor sampling rate. Three numbers tell series
apart:

* *Burst*: how unevenly in time the differences between neighbouring samples are spread. Those of
  noise, of a random walk (which are noise) and of the seasons are equally strong at all times;
  those of a seismogram come with its waves.
* *Drift*: share of the variance in the slowest swings, which instruments for earthquakes do not
  record but prices do.
* *Line*: share of the variance in the strongest frequency above those, as seasons have it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import detrend

from geomon.errors import WaveformError

Kind = Literal["seismogram", "wandering", "periodic", "noise"]

_SHORTEST = 128  # samples
_BLOCKS = 40  # stretches whose energies are compared
_SEASON = 24  # samples in a stretch at least: whole years of months
_SLOWEST = 8  # swings within the series up to which the spectrum counts as drift
_SEISMIC = 0.35  # score from which a series is called a seismogram
_MOSTLY = 0.5  # share of the variance that names the other kinds


@dataclass(frozen=True, slots=True)
class Spotted:
    """What a series looks like.

    Attributes
    ----------
    kind : {'seismogram', 'wandering', 'periodic', 'noise'}
        The best name for it.
    score : float
        The higher, the more like a seismogram; 0 for a perfectly steady series.
    burst, drift, line : float
        What the score is made of: `burst` >= 0, the others shares in [0, 1].
    """

    kind: Kind
    score: float
    burst: float
    drift: float
    line: float


def spot(series: ArrayLike) -> Spotted:
    """Say whether a series of numbers looks like a seismogram.

    Parameters
    ----------
    series : array-like, shape (n,)
        At least 128 finite numbers at equal steps, in any unit.

    Returns
    -------
    Spotted

    Raises
    ------
    WaveformError
        If the series is too short, not one-dimensional or not finite.

    Examples
    --------
    >>> spot(np.random.default_rng(0).normal(size=1000)).kind
    'noise'
    """
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 1 or values.size < _SHORTEST or not np.isfinite(values).all():
        msg = f"a series of shape {values.shape}: needs {_SHORTEST} finite numbers in a row or more"
        raise WaveformError(msg)
    level = np.asarray(detrend(values), dtype=np.float64)
    spread = float(level.std())
    if spread <= 1e-12 * float(np.abs(values).max()):
        return Spotted("noise", 0.0, 0.0, 0.0, 0.0)
    level /= spread
    burst, (drift, line) = _burst(level), _drift_and_line(level)
    score = burst * (1 - drift)
    kind: Kind = "noise"
    if score > _SEISMIC:
        kind = "seismogram"
    elif line > _MOSTLY:
        kind = "periodic"
    elif drift > _MOSTLY:
        kind = "wandering"
    return Spotted(kind, score, burst, drift, line)


def _burst(level: NDArray[np.float64]) -> float:
    """Logarithm of the mean over the geometric mean of the differences' energy with time."""
    blocks = np.array_split(np.diff(level) ** 2, min(_BLOCKS, level.size // _SEASON))
    energy = np.array([block.mean() for block in blocks])
    energy += 1e-9 * energy.max()
    return float(np.log(energy.mean()) - np.log(energy).mean())


def _drift_and_line(level: NDArray[np.float64]) -> tuple[float, float]:
    """Shares of the slowest swings, and of the strongest faster one with its neighbours."""
    power = np.abs(np.fft.rfft(level * np.hanning(level.size))) ** 2
    power[0] = 0
    whole = float(power.sum())
    slow, fast = power[: _SLOWEST + 1], power[_SLOWEST + 1 :]
    top = int(fast.argmax())
    return float(slow.sum()) / whole, float(fast[max(top - 2, 0) : top + 3].sum()) / whole
