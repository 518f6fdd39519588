"""How badly picks fit sources at many points, compiled: the inner loop of location.

Residuals follow a Student-t distribution, so that a wrong pick cannot drag the event. All P and
all S times of an event may be late or early by a share that the velocity model is wrong by
everywhere; the shares are fitted with the origin time and held near zero by their prior. Otherwise
errors common to all picks would look like knowledge, of depth above all.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

DOF = 4.0
"""Degrees of freedom: tails heavy enough for one pick in ten to be wrong."""
COMMON_SHARE = 0.02
"""What all P, or all S, of an event are late or early by, of their times."""
_ROUNDS = 3  # of reweighting; the origin time has settled by then


def profile(
    time_s: Floats, travelled_s: Floats, sigma_s: Floats, is_s: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return the log likelihood and the best origin time of sources at m points.

    Parameters
    ----------
    time_s : array, shape (n,)
        When each phase was picked.
    travelled_s : array, shape (m, n)
        Travel times from each point; NaN where there is none.
    sigma_s : array, shape (n,)
        Standard deviation of each residual.
    is_s : array of bool, shape (n,)
        Which are S.

    Returns
    -------
    log_likelihood, origin_time_s : array, shape (m,)
        Of the best origin time and shares; the likelihood but for a constant.
    """
    n_points = travelled_s.shape[0]
    likelihood, origin = np.empty(n_points), np.empty(n_points)
    _profile(time_s, np.ascontiguousarray(travelled_s), sigma_s, is_s, likelihood, origin)
    return likelihood, origin


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _profile(
    time_s: Floats,
    travelled_s: Floats,
    sigma_s: Floats,
    is_s: NDArray[np.bool_],
    likelihood: Floats,
    origin: Floats,
) -> None:
    n = time_s.size
    hold = COMMON_SHARE**-2
    inverse = 1.0 / (sigma_s * sigma_s)
    residual = np.empty(n)
    for m in range(travelled_s.shape[0]):
        travelled = travelled_s[m]
        for k in range(n):
            residual[k] = time_s[k] - travelled[k]
        time = float(np.median(residual))
        share_p = share_s = 0.0
        for _ in range(_ROUNDS):
            w_sum = w_r = 0.0
            p_t = p_tt = p_rt = 0.0
            s_t = s_tt = s_rt = 0.0
            for k in range(n):
                common = share_s if is_s[k] else share_p
                left = residual[k] - time - common * travelled[k]
                weight = inverse[k] / (1.0 + left * left * inverse[k] / DOF)
                w_sum += weight
                w_r += weight * residual[k]
                w_t = weight * travelled[k]
                if is_s[k]:
                    s_t += w_t
                    s_tt += w_t * travelled[k]
                    s_rt += w_t * residual[k]
                else:
                    p_t += w_t
                    p_tt += w_t * travelled[k]
                    p_rt += w_t * residual[k]
            p_tt += hold
            s_tt += hold
            top = w_r - p_t * p_rt / p_tt - s_t * s_rt / s_tt
            time = top / (w_sum - p_t * p_t / p_tt - s_t * s_t / s_tt)
            share_p = (p_rt - time * p_t) / p_tt
            share_s = (s_rt - time * s_t) / s_tt
        tails = 0.0
        for k in range(n):
            common = share_s if is_s[k] else share_p
            left = residual[k] - time - common * travelled[k]
            tails += math.log1p(left * left * inverse[k] / DOF)
        likelihood[m] = (
            -(DOF + 1.0) / 2.0 * tails - hold * (share_p * share_p + share_s * share_s) / 2.0
        )
        origin[m] = time


def weights(residual_s: Floats, sigma_s: Floats) -> Floats:
    """Return how much each residual counts, in (0, 1]: the further off, the less."""
    return np.asarray(1 / (1 + (residual_s / sigma_s) ** 2 / DOF))
