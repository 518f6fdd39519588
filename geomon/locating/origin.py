"""From the best point and its posterior to an origin: times, ellipse, residuals, quality."""

import math

import numpy as np
from numpy.typing import NDArray

from geomon.events import Arrival, Origin
from geomon.locating.fit import Fit
from geomon.locating.misfit import weights
from geomon.locating.network import Network, geodesic
from geomon.locating.posterior import Posterior, Residuals
from geomon.locating.quality import azimuthal_gap, quality_class
from geomon.times import NS_PER_S, from_ns
from geomon.velocity import LayeredModel
from geomon.velocity.grid import VelocityGrid

type Floats = NDArray[np.float64]

METHOD = "geomon Student-t 4"
_USED_WEIGHT = 0.1  # picks below do not count as used


def origin_of(
    network: Network,
    model: LayeredModel | VelocityGrid,
    fit: Fit,
    posterior: Posterior,
    residuals: Residuals,
) -> Origin:
    """Return the origin of an event's picks.

    Parameters
    ----------
    network : Network
        Stations and frame.
    model : LayeredModel or VelocityGrid
        The one it was located in.
    fit : Fit
        The best point for the picks.
    posterior : Posterior
        How well the hypocentre is known; its centre is the origin's place.
    residuals : Residuals
        What the picks' errors have in common.
    """
    data, sigma = fit.data, fit.sigma_s
    point, covariance = posterior.centre, posterior.covariance
    unreduced = data.time_s - data.travel_times(point[None])
    _, times = residuals.log_likelihood(unreduced)
    residual = unreduced[0] - times[0]
    pick_weight = weights(residual, sigma)
    used = pick_weight >= _USED_WEIGHT
    precision = pick_weight / sigma**2
    rms = math.sqrt(float((precision * residual**2).sum() / precision.sum()))
    spread = posterior.times_s - posterior.weights @ posterior.times_s
    time_variance = float(posterior.weights @ spread**2) + residuals.time_variance
    latitude, longitude = (float(v) for v in network.frame.to_degrees(point[0], point[1]))
    major, minor, azimuth = posterior.ellipse()
    shallow, deep = posterior.depth_interval()
    stations = [network.stations[k] for k in data.station]
    distance, bearing = geodesic(
        latitude, longitude, [s.latitude for s in stations], [s.longitude for s in stations]
    )
    any_used = used if used.any() else np.ones_like(used)
    gap = azimuthal_gap(bearing[any_used])
    nearest = float(distance[any_used].min())
    depth = float(point[2])
    arrivals = tuple(
        Arrival(pick, float(d), float(a), float(r), float(w))
        for pick, d, a, r, w in zip(
            data.picks, distance, bearing, residual, pick_weight, strict=True
        )
    )
    return Origin(
        time=from_ns(data.base_ns + round(float(times[0]) * NS_PER_S)),
        latitude=latitude,
        longitude=longitude,
        depth_km=depth,
        time_uncertainty_s=math.sqrt(time_variance),
        covariance_km2=_upper(covariance),
        ellipse_km=(major, minor),
        ellipse_azimuth_deg=azimuth,
        depth_interval_km=(shallow, deep),
        rms_s=rms,
        azimuthal_gap_deg=gap,
        nearest_station_km=nearest,
        n_stations=len(set(data.station[any_used].tolist())),
        n_phases=int(any_used.sum()),
        quality=quality_class(
            gap_deg=gap,
            nearest_km=nearest,
            depth_km=depth,
            n_phases=int(any_used.sum()),
            ellipse_major_km=major,
            depth_half_width_km=(deep - shallow) / 2,
            rms_s=rms,
        ),
        method=METHOD,
        velocity_model=f"{model.name} {model.version}",
        arrivals=arrivals,
    )


def _upper(covariance: Floats) -> tuple[float, float, float, float, float, float]:
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = covariance.tolist()
    return xx, xy, xz, yy, yz, zz
