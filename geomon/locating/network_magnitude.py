"""One magnitude of an event from what its stations say, also those that saw nothing.

Small events are seen only where noise is low or the wave happens to be strong, so that a mean over
the stations that saw them is too large. Here a station whose noise hid the event counts too: it
says that the magnitude is not above some limit (maximum likelihood for censored magnitudes:
Ringdal 1976, Bulletin of the Seismological Society of America 66, 789-802).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from geomon.events import Magnitude, StationMagnitude
from geomon.ids import SeedId
from geomon.locating.magnitude import MAGNITUDE_TYPE, VERTICAL_TYPE, NoMagnitude

type Floats = NDArray[np.float64]

_FREEDOM = 5.0  # of Student's t: stations are wrong more often than a Gaussian says
_SCATTER = (0.22, 0.35)  # of station magnitudes: usual value, and its spread as a logarithm
_SCATTERS = np.geomspace(0.08, 0.6, 9)
_MARGIN = 1.2  # searched below the least and above the largest value
_STEP = 0.02
_MAX_NODES = 600


def network_magnitude(
    stations: Sequence[StationMagnitude], refused: Iterable[NoMagnitude] = ()
) -> Magnitude | None:
    """Combine channels into a network magnitude; None when none gave any.

    Verticals are used only if no station has a horizontal, and the magnitude is then called
    ``MLv``. Each station counts once, its channels sharing its weight.

    Parameters
    ----------
    stations : sequence of StationMagnitude
        Any channels of any stations.
    refused : iterable of NoMagnitude
        Channels that gave none; those with a limit say that the event was not larger.

    Returns
    -------
    Magnitude or None
        Mean and standard deviation of the posterior, under scatter after Student's t of five
        degrees of freedom and a width that is 0.22 give or take a third, unless the stations say
        otherwise. `n_stations` counts the stations that gave a magnitude.
    """
    finite = [one for one in stations if math.isfinite(one.value)]
    horizontal = [one for one in finite if one.seed_id.component != "Z"]
    used = sorted(horizontal or finite, key=lambda one: one.seed_id)
    if not used:
        return None
    # A worse sensor beside one that saw the event has nothing to add.
    seen = {one.seed_id.station_id: one.seed_id.stream_id for one in used}
    limits = [
        (one.seed_id, one.limit)
        for one in sorted(refused, key=lambda one: one.seed_id)
        if one.limit is not None
        and math.isfinite(one.limit)
        and (one.seed_id.component == "Z") == (not horizontal)
        and seen.get(one.seed_id.station_id, one.seed_id.stream_id) == one.seed_id.stream_id
    ]
    share = _shares([one.seed_id for one in used], [seed_id for seed_id, _ in limits])
    value, uncertainty = _posterior(
        np.array([one.value for one in used]), np.array([limit for _, limit in limits]), share
    )
    return Magnitude(
        value=value,
        magnitude_type=MAGNITUDE_TYPE if horizontal else VERTICAL_TYPE,
        uncertainty=uncertainty,
        n_stations=len({one.seed_id.station_id for one in used}),
        station_magnitudes=tuple(used),
    )


def _shares(seen: Sequence[SeedId], hidden: Sequence[SeedId]) -> Floats:
    """Return the weight of each channel: one over the channels of its station."""
    together = [*seen, *hidden]
    count = Counter(seed_id.station_id for seed_id in together)
    return np.array([1 / count[seed_id.station_id] for seed_id in together])


def _posterior(values: Floats, limits: Floats, share: Floats) -> tuple[float, float]:
    """Return mean and standard deviation of the magnitude, over all widths of the scatter."""
    from scipy.special import stdtr

    low, high = float(values.min()), float(values.max())
    if limits.size:
        low = min(low, float(limits.min()))
    low, high = low - _MARGIN, high + _MARGIN
    nodes = np.linspace(low, high, min(math.ceil((high - low) / _STEP) + 1, _MAX_NODES))
    u = (values - nodes[:, None]) / _SCATTERS[:, None, None]
    log_density = -0.5 * (_FREEDOM + 1) * np.log1p(u**2 / _FREEDOM)
    log_density -= np.log(_SCATTERS)[:, None, None]
    likelihood = log_density @ share[: values.size]
    if limits.size:
        below = stdtr(_FREEDOM, (limits - nodes[:, None]) / _SCATTERS[:, None, None])
        likelihood += np.log(np.maximum(below, 1e-12)) @ share[values.size :]
    usual, spread = _SCATTER
    likelihood -= (0.5 * (np.log(_SCATTERS / usual) / spread) ** 2)[:, None]
    weight = np.exp(likelihood - likelihood.max()).sum(axis=0)
    weight /= weight.sum()
    mean = float(weight @ nodes)
    return mean, max(math.sqrt(float(weight @ (nodes - mean) ** 2)), 0.01)
