"""What an instrument makes of ground motion, frequency by frequency."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.stations import Response

DERIVATIVES = {"m": 0, "m/s": 1, "m/s**2": 2}
"""How often displacement is differentiated to give each input unit."""


def counts_per_unit(
    response: Response, frequency_hz: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Return the complex response at some frequencies: counts per input unit.

    Parameters
    ----------
    response : Response
        Poles, zeros, and the sensitivity they are scaled to.
    frequency_hz : array of float64, shape (n,)
        Frequencies, Hz.

    Returns
    -------
    array of complex128, shape (n,)
        Not finite where the response has no value, such as at a pole. Digital filters are taken
        as flat, which they are up to about 80 % of the Nyquist frequency.
    """

    def analogue(at: NDArray[Any]) -> NDArray[Any]:
        value = np.ones(at.shape, dtype=np.complex128)
        for zero in response.zeros:
            value = value * (at - zero)
        for pole in response.poles:
            value = value / (at - pole)
        return value

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        reference = np.abs(analogue(np.array([2j * np.pi * response.frequency_hz])))[0]
        return np.asarray(response.sensitivity * analogue(2j * np.pi * frequency_hz) / reference)
