"""QuakeML 1.2 in: events of geomon and of others, as geomon's types."""

import math
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

from lxml import etree

from geomon.errors import DataError
from geomon.events import (
    Arrival,
    EvaluationMode,
    Event,
    FocalMechanism,
    Magnitude,
    Origin,
    Phase,
    Pick,
    ReviewState,
    StationMagnitude,
)
from geomon.ids import SeedId
from geomon.sphere import KM_PER_DEG
from geomon.times import from_ns, parse_time

_QUALITIES = ("A", "B", "C", "D")
_NO_COVARIANCE = (math.nan,) * 6


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """An event of a QuakeML document.

    Attributes
    ----------
    public_id : str
        Its name there.
    event : Event
        What is preferred.
    agency : str
        Where it comes from; empty when it does not say.
    other_origins : tuple of Origin
        Those that are not preferred.
    """

    public_id: str
    event: Event
    agency: str
    other_origins: tuple[Origin, ...]


def read_quakeml(content: bytes, *, name: str = "QuakeML") -> tuple[list[ReadEvent], list[str]]:
    """Read a QuakeML document.

    All origins and magnitudes are read, and preferred mechanisms of two planes (the first ones
    where none is preferred), with the P and S arrivals whose picks name a channel. What a foreign
    document does not say is NaN.

    Parameters
    ----------
    content : bytes
        The document.
    name : str
        What to call it in messages.

    Returns
    -------
    events : list of ReadEvent
        In document order.
    problems : list of str
        What was left out, and why, one line a kind.

    Raises
    ------
    DataError
        If the document is not QuakeML.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        msg = f"{name}: not XML: {error}"
        raise DataError(msg) from error
    if root.getroottree().docinfo.doctype or etree.QName(root).localname != "quakeml":
        msg = f"{name}: not a QuakeML document"
        raise DataError(msg)
    left_out: Counter[str] = Counter()
    events = []
    for element in root.iter("{*}event"):
        public_id = element.get("publicID", "")
        try:
            events.append(_event(element, left_out))
        except (DataError, ValueError, InvalidOperation) as error:
            left_out[f"event {public_id or 'without id'}: {error}"] += 1
    return events, [f"{name}: {what} ({count})" for what, count in sorted(left_out.items())]


def _event(element: Any, left_out: Counter[str]) -> ReadEvent:  # noqa: ANN401 - lxml element
    public_id = element.get("publicID", "").strip()
    if not public_id:
        msg = "has no publicID, by which it could be known again"
        raise DataError(msg)
    origin = _preferred(element, "origin", "preferredOriginID")
    if origin is None:
        msg = "has no origin"
        raise DataError(msg)
    magnitude = _preferred(element, "magnitude", "preferredMagnitudeID")
    picks = _picks(element, left_out)
    event = Event(
        preferred_origin=_origin(origin, picks, left_out),
        preferred_magnitude=None if magnitude is None else _magnitude(element, magnitude, left_out),
        event_type=_text(element, "type") or "not reported",
        review_state=_review_state(element, origin),
        probability=_optional(element, "probability"),
        reasons=tuple(child.text or "" for child in element.findall("{*}reason")),
        other_magnitudes=tuple(
            _magnitude(element, other, left_out)
            for other in element.findall("{*}magnitude")
            if other is not magnitude and _optional(other, "mag/value") is not None
        ),
        mechanism=_mechanism(element),
    )
    others = []
    for other in element.findall("{*}origin"):
        if other is not origin:
            try:
                others.append(_origin(other, picks, left_out))
            except (DataError, ValueError, InvalidOperation) as error:
                left_out[f"origin left out: {error}"] += 1
    return ReadEvent(public_id, event, _agency(element), tuple(others))


def _agency(element: Any) -> str:  # noqa: ANN401 - lxml element
    """Return the agency an event names, or else its preferred origin, or none."""
    for one in (element, _preferred(element, "origin", "preferredOriginID")):
        if agency := _text(one, "creationInfo/agencyID"):
            return agency
    return ""


def _preferred(element: Any, kind: str, reference: str) -> Any:  # noqa: ANN401 - lxml element
    children = element.findall(f"{{*}}{kind}")
    wanted = _text(element, reference)
    for child in children:
        if wanted and child.get("publicID") == wanted:
            return child
    return children[0] if children else None


def _text(element: Any, path: str) -> str:  # noqa: ANN401 - lxml element
    found = element.findtext("/".join(f"{{*}}{part}" for part in path.split("/")))
    return (found or "").strip()


def _optional(element: Any, path: str, shift: int = 0) -> float | None:  # noqa: ANN401
    text = _text(element, path)
    if not text:
        return None
    value = float(Decimal(text).scaleb(shift)) if shift else float(text)
    return value if math.isfinite(value) else None


def _number(element: Any, path: str, shift: int = 0) -> float:  # noqa: ANN401 - lxml element
    value = _optional(element, path, shift)
    return math.nan if value is None else value


def _kilometres(element: Any, exact: str, degrees: str) -> float:  # noqa: ANN401 - lxml element
    """Return a distance by geomon's own element, or from one in degrees."""
    value = _optional(element, exact)
    return _number(element, degrees) * KM_PER_DEG if value is None else value


def _review_state(element: Any, origin: Any) -> ReviewState:  # noqa: ANN401 - lxml elements
    own = _text(element, "reviewState")
    if own in ("automatic", "reviewed", "confirmed", "rejected"):
        return cast("ReviewState", own)
    status = _text(origin, "evaluationStatus")
    if status in ("confirmed", "rejected", "reviewed"):
        return cast("ReviewState", status)
    is_manual = status == "final" or _text(origin, "evaluationMode") == "manual"
    return "reviewed" if is_manual else "automatic"


def _seed_id(element: Any) -> SeedId:  # noqa: ANN401 - lxml element
    waveform = element.find("{*}waveformID")
    codes = {} if waveform is None else waveform.attrib
    return SeedId(
        codes.get("networkCode", ""),
        codes.get("stationCode", ""),
        codes.get("locationCode", "").replace("--", ""),
        codes.get("channelCode", ""),
    )


def _phase(text: str) -> Phase | None:
    """Return P for Pg, Pn, P …, S for Sg, Sn, S …; None for other phases."""
    return cast("Phase", text[0]) if text[:1] in ("P", "S") and text[1:] in _BRANCHES else None


_BRANCHES = ("", "g", "n", "b", "*", "1")


def _picks(element: Any, left_out: Counter[str]) -> dict[str, Pick]:  # noqa: ANN401 - lxml element
    picks = {}
    for child in element.findall("{*}pick"):
        phase = _phase(_text(child, "phaseHint"))
        try:
            seed_id = _seed_id(child)
            time = from_ns(parse_time(_text(child, "time/value")))
        except DataError as error:
            left_out[f"pick left out: {error}"] += 1
            continue
        polarity = _text(child, "polarity")
        mode = "manual" if _text(child, "evaluationMode") == "manual" else "automatic"
        picks[child.get("publicID", "")] = Pick(
            time=time,
            seed_id=seed_id,
            phase=phase or "P",
            probability=_number(child, "probability"),
            uncertainty_s=_number(child, "time/uncertainty"),
            snr=_optional(child, "snr"),
            amplitude=_optional(child, "amplitudeCounts"),
            polarity=cast(
                'Literal["positive", "negative", "undecidable"]',
                polarity if polarity in ("positive", "negative") else "undecidable",
            ),
            polarity_probability=_optional(child, "polarityProbability"),
            picker=_text(child, "creationInfo/author") or _text(child, "creationInfo/agencyID"),
            evaluation_mode=cast("EvaluationMode", mode),
        )
    return picks


def _origin(origin: Any, picks: dict[str, Pick], left_out: Counter[str]) -> Origin:  # noqa: ANN401
    quality = _text(origin, "qualityClass")
    depth_km = _number(origin, "depth/value", -3)
    low, high = _optional(origin, "depthLowKm"), _optional(origin, "depthHighKm")
    if low is None or high is None:
        low = depth_km - _number(origin, "depth/lowerUncertainty", -3)
        high = depth_km + _number(origin, "depth/upperUncertainty", -3)
    arrivals = _arrivals(origin, picks, left_out)
    covariance = [float(v) for v in _text(origin, "covarianceKm2").split()] or _NO_COVARIANCE
    stations = {arrival.pick.seed_id.station_id for arrival in arrivals}
    ellipse = "originUncertainty/{}HorizontalUncertainty"
    return Origin(
        time=from_ns(parse_time(_text(origin, "time/value"))),
        latitude=_needed(origin, "latitude/value"),
        longitude=_needed(origin, "longitude/value"),
        depth_km=depth_km,
        time_uncertainty_s=_number(origin, "time/uncertainty"),
        covariance_km2=cast("tuple[float, float, float, float, float, float]", tuple(covariance)),
        ellipse_km=(
            _number(origin, ellipse.format("max"), -3),
            _number(origin, ellipse.format("min"), -3),
        ),
        ellipse_azimuth_deg=_number(
            origin, "originUncertainty/azimuthMaxHorizontalUncertainty"
        ),
        depth_interval_km=(_one_nan(low), _one_nan(high)),
        rms_s=_number(origin, "quality/standardError"),
        azimuthal_gap_deg=_number(origin, "quality/azimuthalGap"),
        nearest_station_km=_one_nan(
            _kilometres(origin, "nearestStationKm", "quality/minimumDistance")
        ),
        n_stations=int(_text(origin, "quality/usedStationCount") or len(stations)),
        n_phases=int(_text(origin, "quality/usedPhaseCount") or len(arrivals)),
        quality=cast(
            'Literal["A", "B", "C", "D"]', quality if quality in _QUALITIES else "D"
        ),
        method=_text(origin, "methodName") or _text(origin, "methodID"),
        velocity_model=_text(origin, "velocityModel") or _text(origin, "earthModelID"),
        arrivals=tuple(arrivals),
    )  # fmt: skip


def _one_nan(value: float) -> float:
    """Return the value, with every NaN the same object, so that equal origins are equal."""
    return math.nan if math.isnan(value) else value


def _needed(element: Any, path: str) -> float:  # noqa: ANN401 - lxml element
    value = _optional(element, path)
    if value is None:
        msg = f"has no {path.split('/')[0]}"
        raise DataError(msg)
    return value


def _arrivals(
    origin: Any,  # noqa: ANN401 - lxml element
    picks: dict[str, Pick],
    left_out: Counter[str],
) -> list[Arrival]:
    arrivals = []
    for child in origin.findall("{*}arrival"):
        pick = picks.get(_text(child, "pickID"))
        phase = _phase(_text(child, "phase") or (pick.phase if pick else ""))
        if pick is None or phase is None:
            left_out["arrival left out: no such pick, or neither P nor S"] += 1
            continue
        if pick.phase != phase:
            left_out["arrival left out: another phase than its pick"] += 1
            continue
        arrivals.append(
            Arrival(
                pick,
                _one_nan(_kilometres(child, "distanceKm", "distance")),
                _number(child, "azimuth"),
                _number(child, "timeResidual"),
                _number(child, "timeWeight"),
            )
        )
    return arrivals


def _magnitude(event: Any, magnitude: Any, left_out: Counter[str]) -> Magnitude:  # noqa: ANN401
    amplitudes = {
        child.get("publicID"): _number(child, "genericAmplitude/value", 3)
        for child in event.findall("{*}amplitude")
        if _text(child, "unit") == "m"
    }
    wanted = {
        _text(child, "stationMagnitudeID")
        for child in magnitude.findall("{*}stationMagnitudeContribution")
    }
    stations = []
    for child in event.findall("{*}stationMagnitude"):
        if child.get("publicID") not in wanted:
            continue
        try:
            seed_id = _seed_id(child)
        except DataError as error:
            left_out[f"station magnitude left out: {error}"] += 1
            continue
        stations.append(
            StationMagnitude(
                seed_id,
                _text(child, "type"),
                _needed(child, "mag/value"),
                amplitudes.get(_text(child, "amplitudeID"), math.nan),
                _number(child, "distanceKm"),
            )
        )
    count = _text(magnitude, "stationCount")
    return Magnitude(
        _needed(magnitude, "mag/value"),
        _text(magnitude, "type") or "M",
        _number(magnitude, "mag/uncertainty"),
        int(count) if count else len(stations),
        tuple(stations),
    )


def _mechanism(event: Any) -> FocalMechanism | None:  # noqa: ANN401
    element = _preferred(event, "focalMechanism", "preferredFocalMechanismID")
    if element is None:
        return None
    angles = [
        _optional(element, f"nodalPlanes/nodalPlane{number}/{name}/value")
        for number in (1, 2)
        for name in ("strike", "dip", "rake")
    ]
    known = [angle for angle in angles if angle is not None]
    if len(known) < len(angles):
        return None
    quality = _text(element, "quality")
    return FocalMechanism(
        known[0],
        known[1],
        known[2],
        (known[3], known[4], known[5]),
        _number(element, "uncertaintyDeg"),
        _number(element, "probability"),
        _number(element, "misfit"),
        _number(element, "stationDistributionRatio"),
        int(_text(element, "stationPolarityCount") or 0),
        cast("Literal['A', 'B', 'C', 'D']", quality if quality in _QUALITIES else "D"),
    )
