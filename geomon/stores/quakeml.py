"""QuakeML 1.2 out: events as a stream of text, without holding the document in memory.

Schorlemmer et al. (2011, https://doi.org/10.4401/ag-4874) and the QuakeML-BED 1.2 schema. What
the standard has a place for goes there, in its units: degrees, metres, seconds. What it has no
place for (covariance, probability, exact kilometres) follows in elements of the namespace
``urn:geomon:1``, which the schema allows and other readers skip.
"""

import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from geomon.events import Arrival, Event, FocalMechanism, Magnitude, Origin, Pick
from geomon.ids import SeedId
from geomon.sphere import KM_PER_DEG
from geomon.stations import Credit
from geomon.stores.relocating import HeldOrigin
from geomon.stores.summary import Contribution
from geomon.times import format_ns, to_ns

if TYPE_CHECKING:
    from obspy.core.event import Catalog as ObspyCatalog

BED = "http://quakeml.org/xmlns/bed/1.2"
NAMESPACE = "urn:geomon:1"

STATUS = {
    "automatic": "preliminary",
    "reviewed": "reviewed",
    "confirmed": "confirmed",
    "rejected": "rejected",
}
"""QuakeML's evaluation status of each review state."""

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<q:quakeml xmlns:q="http://quakeml.org/xmlns/quakeml/1.2" '
    f'xmlns="{BED}" xmlns:gm="{NAMESPACE}">\n'
    '<eventParameters publicID="smi:%s/catalog">\n'
)
_TAIL = "</eventParameters>\n</q:quakeml>\n"
_AUTHORITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,}")
_PUBLIC_ID = re.compile(r"(smi|quakeml):[\w.*()~'-]{3,}/[\w.*()~'-][\w.*()+?~'=,;#/&-]*")
"""The resource identifiers that the schema allows."""
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._~'-]")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def stream(
    events: Iterable[Event],
    *,
    agency: str = "geomon",
    with_arrivals: bool = True,
    with_all_magnitudes: bool = True,
    others: Callable[[Event], Sequence[HeldOrigin]] | None = None,
    contributions: Mapping[str, Contribution] = MappingProxyType({}),
    credits: Iterable[Credit] = (),
) -> Iterator[bytes]:
    """Yield a QuakeML document, an event at a time.

    Parameters
    ----------
    events : iterable of Event
        Read once, in order.
    agency : str
        Agency id, also the authority of all public ids.
    with_arrivals : bool
        Also picks, arrivals, amplitudes and station magnitudes.
    with_all_magnitudes : bool
        Also magnitudes of other types than the preferred one.
    others : callable, optional
        Returns the other origins of an event than its preferred one: they are written too.
    contributions : mapping of str to Contribution
        Where events of other agencies come from, by their ids; they keep the public id they have
        there.
    credits : iterable of Credit
        Whose waveforms the events were found in; one comment each.

    Yields
    ------
    bytes
        UTF-8 text.
    """
    authority = agency if _AUTHORITY.fullmatch(agency) else f"geomon.{_id_part(agency)}"
    yield (_HEAD % authority).encode()
    for credit in credits:
        yield f"<comment>{_text('text', credit.text())}</comment>\n".encode()
    for event in events:
        if not with_all_magnitudes:
            event = replace(event, other_magnitudes=())
        beside = () if others is None else others(event)
        known = contributions.get(event.event_id)
        source = known or Contribution(agency, "")
        yield "".join(_event(event, authority, source, with_arrivals, beside)).encode()
    yield _TAIL.encode()


def write_quakeml(
    events: Iterable[Event],
    *,
    agency: str = "geomon",
    with_arrivals: bool = True,
    others: Callable[[Event], Sequence[HeldOrigin]] | None = None,
    contributions: Mapping[str, Contribution] = MappingProxyType({}),
    credits: Iterable[Credit] = (),
) -> bytes:
    """Return a whole QuakeML document; see `stream`."""
    return b"".join(
        stream(
            events, agency=agency, with_arrivals=with_arrivals, others=others,
            contributions=contributions, credits=credits,
        )
    )  # fmt: skip


def to_obspy(
    events: Iterable[Event],
    *,
    agency: str = "geomon",
    contributions: Mapping[str, Contribution] = MappingProxyType({}),
) -> "ObspyCatalog":
    """Return an ObsPy catalogue of everything the QuakeML of the events says."""
    from obspy import read_events

    content = write_quakeml(events, agency=agency, contributions=contributions)
    return read_events(io.BytesIO(content), format="QUAKEML")


def _id_part(text: str) -> str:
    return _NOT_IN_ID.sub("_", text) or "_"


def _text(name: str, value: str | None) -> str:
    if not value:
        return ""
    return f"<{name}>{escape(_NOT_IN_XML.sub('', value))}</{name}>\n"


def _number(name: str, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return f"<{name}>{float(value)!r}</{name}>\n"


def _shifted(name: str, value: float | None, digits: int) -> str:
    """Write a value times a power of ten, exactly: 5.537 km is 5537 m."""
    if value is None or not math.isfinite(value):
        return ""
    return f"<{name}>{Decimal(repr(float(value))).scaleb(digits):f}</{name}>\n"


def _quantity(name: str, value: str, *more: str) -> str:
    return f"<{name}>{value}{''.join(more)}</{name}>\n" if value else ""


def _time(name: str, time: datetime) -> str:
    return f"<{name}>{format_ns(to_ns(time))}</{name}>\n"


def _degrees(kilometres: float) -> float:
    return round(kilometres / KM_PER_DEG, 6) if math.isfinite(kilometres) else math.nan


def _creation(agency: str, run: str, made_at: datetime | None, version: int | None) -> str:
    made = [_text("agencyID", agency), _text("author", run)]
    if made_at is not None:
        made.append(_time("creationTime", made_at))
    made.append(_text("version", "" if version is None else str(version)))
    return f"<creationInfo>{''.join(made)}</creationInfo>\n"


def _event(
    event: Event,
    authority: str,
    source: Contribution,
    with_arrivals: bool,
    others: Sequence[HeldOrigin],
) -> Iterator[str]:
    agency = source.agency
    event_id = _id_part(event.event_id or "new")
    own = f"smi:{authority}"
    revision = f"{event_id}/{event.revision}"
    magnitude = event.preferred_magnitude
    creation = _creation(agency, event.run, event.valid_from, event.revision)
    status = STATUS[event.review_state]
    is_named = _PUBLIC_ID.fullmatch(source.public_id)
    public_id = source.public_id if is_named else f"{own}/event/{event_id}"
    yield f"<event publicID={quoteattr(public_id)}>\n"
    yield f"<preferredOriginID>{own}/origin/{revision}</preferredOriginID>\n"
    if magnitude is not None:
        yield f"<preferredMagnitudeID>{own}/magnitude/{revision}</preferredMagnitudeID>\n"
    yield _text("type", event.event_type)
    if event.event_type != "earthquake" and event.review_state == "automatic":
        yield _text("typeCertainty", "suspected")
    yield creation
    if with_arrivals:
        arrivals = chain(event.arrivals, *(held.origin.arrivals for held in others))
        for pick in {arrival.pick.pick_id: arrival.pick for arrival in arrivals}.values():
            yield _pick(pick, own, agency)
    yield from _origin(event.preferred_origin, own, revision, status, creation, with_arrivals)
    for held in others:
        name = f"{event_id}/{_id_part(held.run) if held.revision is None else held.revision}"
        made = _creation(agency, held.run, held.made_at, held.revision)
        said = STATUS[held.review_state]
        yield from _origin(held.origin, own, name, said, made, with_arrivals)
    if magnitude is not None:
        yield from _magnitude(magnitude, own, revision, status, creation, with_arrivals)
    for other in event.other_magnitudes:
        name = f"{revision}/{_id_part(other.magnitude_type)}"
        yield from _magnitude(other, own, revision, status, creation, with_arrivals, name)
    if event.mechanism is not None:
        yield from _mechanism(event.mechanism, own, revision, creation)
    yield _number("gm:probability", event.probability)
    yield _text("gm:reviewState", event.review_state)
    for reason in event.reasons:
        yield _text("gm:reason", reason)
    yield "</event>\n"


def _waveform(seed_id: SeedId) -> str:
    location = f' locationCode="{seed_id.location}"'
    return (
        f'<waveformID networkCode="{seed_id.network}" stationCode="{seed_id.station}"'
        f'{location} channelCode="{seed_id.channel}"/>\n'
    )


def _pick(pick: Pick, own: str, agency: str) -> str:
    author = _text("author", pick.picker)
    return "".join(
        (
            f'<pick publicID="{own}/pick/{pick.pick_id}">\n',
            _quantity(
                "time",
                _time("value", pick.time),
                _number("uncertainty", pick.uncertainty_s),
            ),
            _waveform(pick.seed_id),
            _text("phaseHint", pick.phase),
            _text("polarity", pick.polarity),
            _text("evaluationMode", pick.evaluation_mode),
            f"<creationInfo>{_text('agencyID', agency)}{author}</creationInfo>\n",
            _number("gm:probability", pick.probability),
            _number("gm:polarityProbability", pick.polarity_probability),
            _number("gm:snr", pick.snr),
            _number("gm:amplitudeCounts", pick.amplitude),
            "</pick>\n",
        )
    )


def _origin(
    origin: Origin, own: str, revision: str, status: str, creation: str, with_arrivals: bool
) -> Iterator[str]:
    variances = origin.covariance_km2[0], origin.covariance_km2[3], origin.covariance_km2[5]
    east, north, down = (math.sqrt(v) if v >= 0 else math.nan for v in variances)
    shrink = max(math.cos(math.radians(origin.latitude)), 1e-6)
    low, high = origin.depth_interval_km
    yield f'<origin publicID="{own}/origin/{revision}">\n'
    yield _quantity(
        "time",
        _time("value", origin.time),
        _number("uncertainty", origin.time_uncertainty_s),
    )
    latitude = _number("value", origin.latitude)
    yield _quantity("latitude", latitude, _number("uncertainty", _degrees(north)))
    longitude = _number("value", origin.longitude)
    yield _quantity("longitude", longitude, _number("uncertainty", _degrees(east / shrink)))
    yield _quantity(
        "depth",
        _shifted("value", origin.depth_km, 3),
        _number("uncertainty", round(down * 1000, 1) if math.isfinite(down) else None),
        _number("lowerUncertainty", _metres_apart(low, origin.depth_km)),
        _number("upperUncertainty", _metres_apart(origin.depth_km, high)),
        _number("confidenceLevel", 68.0 if math.isfinite(low) else None),
    )
    yield _text("depthType", "from location" if math.isfinite(origin.depth_km) else "")
    if origin.method:
        yield f"<methodID>{own}/method/{_id_part(origin.method)}</methodID>\n"
    if origin.velocity_model:
        model = _id_part(origin.velocity_model)
        yield f"<earthModelID>{own}/velocity_model/{model}</earthModelID>\n"
    yield "".join(
        (
            "<quality>",
            f"<usedPhaseCount>{origin.n_phases}</usedPhaseCount>",
            f"<usedStationCount>{origin.n_stations}</usedStationCount>",
            _number("standardError", origin.rms_s),
            _number("azimuthalGap", origin.azimuthal_gap_deg),
            _number("minimumDistance", _degrees(origin.nearest_station_km)),
            "</quality>\n",
        )
    )
    if math.isfinite(origin.ellipse_km[0]):
        yield "".join(
            (
                "<originUncertainty>",
                _shifted("minHorizontalUncertainty", origin.ellipse_km[1], 3),
                _shifted("maxHorizontalUncertainty", origin.ellipse_km[0], 3),
                _number("azimuthMaxHorizontalUncertainty", origin.ellipse_azimuth_deg),
                "<preferredDescription>uncertainty ellipse</preferredDescription>",
                "<confidenceLevel>68.0</confidenceLevel>",
                "</originUncertainty>\n",
            )
        )
    yield "<evaluationMode>automatic</evaluationMode>\n" if status == "preliminary" else ""
    yield f"<evaluationStatus>{status}</evaluationStatus>\n{creation}"
    if with_arrivals:
        for position, arrival in enumerate(origin.arrivals):
            yield _arrival(arrival, own, f"{revision}/{position}")
    yield _text("gm:qualityClass", origin.quality)
    yield _text("gm:methodName", origin.method)
    yield _text("gm:velocityModel", origin.velocity_model)
    yield _number("gm:nearestStationKm", origin.nearest_station_km)
    yield _number("gm:depthLowKm", low)
    yield _number("gm:depthHighKm", high)
    if all(math.isfinite(value) for value in origin.covariance_km2):
        yield _text("gm:covarianceKm2", " ".join(repr(float(v)) for v in origin.covariance_km2))
    yield "</origin>\n"


def _metres_apart(low_km: float, high_km: float) -> float | None:
    apart = (high_km - low_km) * 1000
    return round(apart, 1) if math.isfinite(apart) and apart >= 0 else None


def _arrival(arrival: Arrival, own: str, name: str) -> str:
    pick = arrival.pick
    return "".join(
        (
            f'<arrival publicID="{own}/arrival/{name}">\n',
            f"<pickID>{own}/pick/{pick.pick_id}</pickID>\n",
            _text("phase", pick.phase),
            _number("azimuth", arrival.azimuth_deg),
            _number("distance", _degrees(arrival.distance_km)),
            _number("timeResidual", arrival.residual_s),
            _number("timeWeight", arrival.weight),
            _number("gm:distanceKm", arrival.distance_km),
            "</arrival>\n",
        )
    )


def _magnitude(
    magnitude: Magnitude,
    own: str,
    revision: str,
    status: str,
    creation: str,
    with_stations: bool,
    called: str = "",
) -> Iterator[str]:
    called = called or revision
    origin_id = f"<originID>{own}/origin/{revision}</originID>\n"
    contributions = []
    if with_stations:
        for position, station in enumerate(magnitude.station_magnitudes):
            name = f"{called}/{position}"
            waveform = _waveform(station.seed_id)
            amplitude = _quantity("genericAmplitude", _shifted("value", station.amplitude_mm, -3))
            if amplitude:
                yield (
                    f'<amplitude publicID="{own}/amplitude/{name}">\n{amplitude}'
                    f"<type>A{escape(station.magnitude_type)}</type>\n<unit>m</unit>\n{waveform}"
                    "</amplitude>\n"
                )
                amplitude = f"<amplitudeID>{own}/amplitude/{name}</amplitudeID>\n"
            yield (
                f'<stationMagnitude publicID="{own}/station_magnitude/{name}">\n{origin_id}'
                f"{_quantity('mag', _number('value', station.value))}"
                f"{_text('type', station.magnitude_type)}{amplitude}{waveform}"
                f"{_number('gm:distanceKm', station.distance_km)}"
                "</stationMagnitude>\n"
            )
            contributions.append(
                "<stationMagnitudeContribution><stationMagnitudeID>"
                f"{own}/station_magnitude/{name}"
                "</stationMagnitudeID></stationMagnitudeContribution>\n"
            )
    yield f'<magnitude publicID="{own}/magnitude/{called}">\n'
    yield "".join(contributions)
    yield _quantity(
        "mag", _number("value", magnitude.value), _number("uncertainty", magnitude.uncertainty)
    )
    yield _text("type", magnitude.magnitude_type)
    yield origin_id
    yield f"<stationCount>{magnitude.n_stations}</stationCount>\n"
    yield f"<evaluationStatus>{status}</evaluationStatus>\n{creation}</magnitude>\n"


def _mechanism(mechanism: FocalMechanism, own: str, revision: str, creation: str) -> Iterator[str]:
    yield f'<focalMechanism publicID="{own}/focal_mechanism/{revision}">\n'
    yield f"<triggeringOriginID>{own}/origin/{revision}</triggeringOriginID>\n"
    planes = (
        (mechanism.strike_deg, mechanism.dip_deg, mechanism.rake_deg), mechanism.auxiliary
    )  # fmt: skip
    yield '<nodalPlanes preferredPlane="1">\n'
    for number, plane in enumerate(planes, start=1):
        angles = (
            _quantity(name, _number("value", angle))
            for name, angle in zip(("strike", "dip", "rake"), plane, strict=True)
        )
        yield f"<nodalPlane{number}>{''.join(angles)}</nodalPlane{number}>\n"
    yield "</nodalPlanes>\n"
    yield f"<stationPolarityCount>{mechanism.n_polarities}</stationPolarityCount>\n"
    yield _number("misfit", mechanism.misfit)
    yield _number("stationDistributionRatio", mechanism.station_distribution_ratio)
    yield f"<methodID>{own}/method/first-motions</methodID>\n"
    yield f"<evaluationMode>automatic</evaluationMode>\n{creation}"
    yield _number("gm:uncertaintyDeg", mechanism.uncertainty_deg)
    yield _number("gm:probability", mechanism.probability)
    yield f"{_text('gm:quality', mechanism.quality)}</focalMechanism>\n"
