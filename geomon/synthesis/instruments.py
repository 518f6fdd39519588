"""Seismometers of a simulated network: what turns ground motion into counts."""

import numpy as np
from numpy.typing import NDArray

from geomon.stations import Response

_POWER_OF_S = {"m": -1, "m/s": 0, "m/s**2": 1}

BROADBAND = Response(
    sensitivity=4.8e8,
    frequency_hz=1.0,
    input_unit="m/s",
    zeros=(0j, 0j),
    poles=(-0.03691 + 0.03702j, -0.03691 - 0.03702j),
)
"""A 120 s seismometer of 1200 V s/m on a digitiser of 2.5 microvolt a count."""

SHORT_PERIOD = Response(
    sensitivity=1.6e8,
    frequency_hz=5.0,
    input_unit="m/s",
    zeros=(0j, 0j),
    poles=(-4.398 + 4.487j, -4.398 - 4.487j),
)
"""A 1 Hz seismometer of 400 V s/m, damping 0.7, on the same digitiser."""

ACCELEROMETER = Response(
    sensitivity=2.0e6,
    frequency_hz=1.0,
    input_unit="m/s**2",
    zeros=(),
    poles=(-879.6 + 897.4j, -879.6 - 897.4j),
)
"""An accelerometer that is flat to 200 Hz."""


def counts_per_velocity(
    response: Response, frequency_hz: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Return what an instrument makes of ground velocity, counts per m/s.

    The poles and zeros are scaled so that, at the response's own frequency, their gain is the
    sensitivity, as StationXML defines it; 0 Hz gives 0.

    Parameters
    ----------
    response : Response
        The instrument.
    frequency_hz : array of float64
        Frequencies, >= 0.

    Returns
    -------
    array of complex128
        Same shape.
    """
    scale = response.sensitivity / abs(_gain(response, np.array([response.frequency_hz]))[0])
    positive = np.where(frequency_hz > 0, frequency_hz, 1.0)
    s = 2j * np.pi * positive
    gain = scale * _gain(response, positive) * s ** _POWER_OF_S[response.input_unit]
    return np.asarray(np.where(frequency_hz > 0, gain, 0.0))


def _gain(response: Response, frequency_hz: NDArray[np.float64]) -> NDArray[np.complex128]:
    s = 2j * np.pi * frequency_hz
    gain = np.ones_like(s)
    for zero in response.zeros:
        gain *= s - zero
    for pole in response.poles:
        gain /= s - pole
    return gain
