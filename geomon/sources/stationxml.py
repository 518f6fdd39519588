"""FDSN StationXML to station metadata and back.

Read with a parser that follows no entity, loads nothing and stops at a size limit. One unusable
channel is named and left out; the others go on. Version 1.0 to 1.2 of the FDSN schema
(https://docs.fdsn.org/projects/stationxml).
"""

import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from lxml import etree

from geomon.errors import DataError, StationMetadataError
from geomon.ids import SeedId
from geomon.stations import FOREVER_NS, Channel, Credit, Response, Stations
from geomon.times import TimeSpan, format_ns, parse_time

MAX_BYTES = 512_000_000
_NAMESPACE = "http://www.fdsn.org/xml/station/1"
_NS = f"{{{_NAMESPACE}}}"
_BEGINNING_NS = parse_time("1900-01-01")
_UNITS: dict[str, Literal["m", "m/s", "m/s**2"]] = {
    "M": "m", "M/S": "m/s", "M/S**2": "m/s**2", "M/S/S": "m/s**2", "M/S^2": "m/s**2",
    "M/(S**2)": "m/s**2", "M/S2": "m/s**2",
}  # fmt: skip
_CITATION, _LICENCE = "Citation", "Licence"  # subjects of comments on a network
_NO_RESPONSE = "No response: "  # how a comment written by us begins
_TO_RADIANS = {"LAPLACE (RADIANS/SECOND)": 1.0, "LAPLACE (HERTZ)": 2 * math.pi}


def read_stations(source: Path | bytes, *, is_open: bool = True) -> Stations:
    """Read a StationXML document or file.

    Poles and zeros of all analogue stages are put together, in rad/s; with the overall sensitivity
    they are a channel's response. A channel without usable response is kept, with the reason in
    `response_problem`. Channels closed or partial to the public are marked `restricted`; `is_open`
    says whether those of which nothing is said are open.

    Raises
    ------
    StationMetadataError
        If it cannot be read, is larger than 512 MB, is not well-formed, or no StationXML.
    """
    name = str(source) if isinstance(source, Path) else "StationXML"
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        else:
            content = source
    except OSError as error:
        msg = f"{name}: cannot be read: {error.strerror}"
        raise StationMetadataError(msg) from error
    root = _parse(content, name)
    problems: list[str] = []
    channels: list[Channel] = []
    for network in root.iterfind(f"{_NS}Network"):
        for station in network.iterfind(f"{_NS}Station"):
            for element in station.iterfind(f"{_NS}Channel"):
                codes = (network.get("code"), station.get("code"))
                label = f"{codes[0]}.{codes[1]}.{element.get('locationCode')}.{element.get('code')}"
                try:
                    channels.append(_channel(network, station, element, is_open=is_open))
                except DataError as error:
                    problems.append(f"{label}: left out: {error}")
    return Stations.of(
        channels, problems, filter(None, map(_credit, root.iterfind(f"{_NS}Network")))
    )


def _credit(network: Any) -> Credit | None:  # noqa: ANN401 - lxml's element has no stub here
    """Return whose data a network's are; None where it does not say."""
    doi = next(
        (
            (element.text or "").strip().removeprefix("https://doi.org/")
            for element in network.iterfind(f"{_NS}Identifier")
            if element.get("type", "").upper() == "DOI"
        ),
        "",
    )
    comments = {
        comment.get("subject"): (comment.findtext(f"{_NS}Value") or "").strip()
        for comment in network.iterfind(f"{_NS}Comment")
    }
    found = Credit(
        network.get("code", "").strip(),
        " ".join((network.findtext(f"{_NS}Description") or "").split()),
        doi,
        comments.get(_CITATION, ""),
        comments.get(_LICENCE, ""),
    )
    return found if found.name or found.doi or found.citation or found.licence else None


def _parse(content: bytes, name: str) -> Any:  # noqa: ANN401 - lxml's element has no stub here
    if len(content) > MAX_BYTES:
        msg = f"{name}: larger than {MAX_BYTES // 1_000_000} MB"
        raise StationMetadataError(msg)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False,
        huge_tree=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        msg = f"{name}: not well-formed XML: {error}"
        raise StationMetadataError(msg) from error
    if root.getroottree().docinfo.doctype:
        msg = f"{name}: a document type declaration is not allowed in StationXML"
        raise StationMetadataError(msg)
    if root.tag != f"{_NS}FDSNStationXML":
        msg = f"{name}: root element is {str(root.tag)[:80]!r}, not FDSNStationXML"
        raise StationMetadataError(msg)
    return root


def _channel(network: Any, station: Any, element: Any, *, is_open: bool) -> Channel:  # noqa: ANN401
    try:
        seed_id = SeedId(
            network.get("code", "").strip(),
            station.get("code", "").strip(),
            element.get("locationCode", "").strip().replace("--", ""),
            element.get("code", "").strip(),
        )
    except DataError as error:
        raise StationMetadataError(str(error)) from error
    levels = (element, station, network)
    start_ns = _date(levels, "startDate", _BEGINNING_NS)
    end_ns = _date(levels, "endDate", FOREVER_NS)
    if end_ns <= start_ns:
        msg = f"its epoch ends ({format_ns(end_ns)}) before it starts ({format_ns(start_ns)})"
        raise StationMetadataError(msg)
    latitude = _coordinate(element, station, "Latitude", 90)
    longitude = _coordinate(element, station, "Longitude", 180)
    elevation_m = _coordinate(element, station, "Elevation", 20_000)
    response, problem = _response(element)
    told = [level.get("restrictedStatus") for level in levels]
    status = [word for word in told if word] or ["open" if is_open else "closed"]
    return Channel(
        seed_id=seed_id,
        epoch=TimeSpan(start_ns, end_ns),
        latitude=latitude,
        longitude=longitude,
        elevation_m=elevation_m,
        depth_m=_number(element, "Depth") or 0.0,
        azimuth_deg=_number(element, "Azimuth"),
        dip_deg=_number(element, "Dip"),
        sampling_rate_hz=_number(element, "SampleRate") or None,
        response=response,
        response_problem=problem,
        restricted=any(word in ("closed", "partial") for word in status),
    )


def _date(levels: tuple[Any, ...], name: str, default: int) -> int:
    for level in levels:
        text = level.get(name)
        if text:
            return min(parse_time(text), FOREVER_NS)
    return default


def _number(element: Any, path: str) -> float | None:  # noqa: ANN401
    # A finite number below `element`; None when absent.
    text = element.findtext("/".join(f"{_NS}{step}" for step in path.split("/")))
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError as error:
        msg = f"{path} {text.strip()[:40]!r} is not a number"
        raise StationMetadataError(msg) from error
    if not math.isfinite(value):
        msg = f"{path} is {text.strip()}"
        raise StationMetadataError(msg)
    return value


def _coordinate(element: Any, station: Any, name: str, largest: float) -> float:  # noqa: ANN401
    value = _number(element, name)
    if value is None:
        value = _number(station, name)
    if value is None:
        msg = f"no {name.lower()}"
        raise StationMetadataError(msg)
    if abs(value) > largest:
        msg = f"{name.lower()} {value} is outside ±{largest}"
        raise StationMetadataError(msg)
    return value


def _response(channel: Any) -> tuple[Response | None, str]:  # noqa: ANN401
    """Put a channel's response together; say why not where it cannot be used."""
    element = channel.find(f"{_NS}Response")
    if element is None or len(element) == 0:
        for comment in channel.iterfind(f"{_NS}Comment/{_NS}Value"):
            if (comment.text or "").startswith(_NO_RESPONSE):
                return None, comment.text.removeprefix(_NO_RESPONSE)
        return None, "the metadata hold no response"
    try:
        return _usable_response(element), ""
    except StationMetadataError as error:
        return None, str(error)


def _usable_response(element: Any) -> Response:  # noqa: ANN401
    sensitivity = _number(element, "InstrumentSensitivity/Value")
    if sensitivity is None:
        msg = "the overall sensitivity is missing"
        raise StationMetadataError(msg)
    if sensitivity == 0:
        msg = "the overall sensitivity is zero"
        raise StationMetadataError(msg)
    frequency_hz = _number(element, "InstrumentSensitivity/Frequency")
    if frequency_hz is None or frequency_hz < 0:
        msg = "the sensitivity has no frequency"
        raise StationMetadataError(msg)
    path = f"{_NS}InstrumentSensitivity/{_NS}InputUnits/{_NS}Name"
    unit = (element.findtext(path) or "").strip()
    if unit.upper() not in _UNITS:
        msg = f"input unit {unit[:20]!r} is no ground motion in metres"
        raise StationMetadataError(msg)
    zeros: list[complex] = []
    poles: list[complex] = []
    has_poles = False
    for stage in element.iterfind(f"{_NS}Stage"):
        if _number(stage, "StageGain/Value") == 0:
            msg = f"the gain of stage {stage.get('number')} is zero"
            raise StationMetadataError(msg)
        for filter_ in stage.iterfind(f"{_NS}PolesZeros"):
            kind = (filter_.findtext(f"{_NS}PzTransferFunctionType") or "").strip().upper()
            if kind not in _TO_RADIANS:
                continue
            has_poles = True
            zeros += _roots(filter_, "Zero", _TO_RADIANS[kind])
            poles += _roots(filter_, "Pole", _TO_RADIANS[kind])
    if not has_poles:
        msg = "no stage gives poles and zeros"
        raise StationMetadataError(msg)
    at = 2j * math.pi * frequency_hz
    if any(at == zero for zero in zeros) or any(at == pole for pole in poles):
        msg = f"the sensitivity is given at {frequency_hz:g} Hz, where the response is zero"
        raise StationMetadataError(msg)
    return Response(sensitivity, frequency_hz, _UNITS[unit.upper()], tuple(zeros), tuple(poles))


def _roots(element: Any, name: str, factor: float) -> Iterator[complex]:  # noqa: ANN401
    for root in element.iterfind(f"{_NS}{name}"):
        real, imaginary = _number(root, "Real"), _number(root, "Imaginary")
        if real is None or imaginary is None:
            msg = f"a {name.lower()} lacks its real or imaginary part"
            raise StationMetadataError(msg)
        yield complex(real * factor, imaginary * factor)


def write_stationxml(stations: Stations, source: str = "geomon") -> bytes:
    """Write stations as StationXML 1.2, one response stage a channel.

    Reading it again gives the same `Stations`, but for `problems`.

    Parameters
    ----------
    stations : Stations
        All channels and epochs.
    source : str
        Organisation written into the document.
    """
    root = etree.Element(f"{_NS}FDSNStationXML", nsmap={None: _NAMESPACE}, schemaVersion="1.2")
    _add(root, "Source", source)
    _add(root, "Created", "1970-01-01T00:00:00Z")  # the same stations give the same bytes
    credits = {credit.network: credit for credit in stations.credits}
    ordered = sorted(stations.channels, key=lambda c: (c.seed_id, c.epoch))
    for network_code, of_network in groupby(ordered, key=lambda c: c.seed_id.network):
        network = _add(root, "Network", code=network_code)
        _add_credit(network, credits.get(network_code))
        for station_code, of_station in groupby(of_network, key=lambda c: c.seed_id.station):
            channels = list(of_station)
            station = _add(network, "Station", code=station_code, **_epoch(channels))
            _add(station, "Latitude", repr(channels[0].latitude))
            _add(station, "Longitude", repr(channels[0].longitude))
            _add(station, "Elevation", repr(channels[0].elevation_m))
            _add(_add(station, "Site"), "Name", station_code)
            for channel in channels:
                _add_channel(station, channel)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _epoch(channels: list[Channel]) -> dict[str, str]:
    start_ns = min(channel.epoch.start_ns for channel in channels)
    end_ns = max(channel.epoch.end_ns for channel in channels)
    epoch = {"startDate": format_ns(start_ns)}
    if end_ns < FOREVER_NS:
        epoch["endDate"] = format_ns(end_ns)
    return epoch


def _add(parent: Any, name: str, text: str | None = None, **attributes: str) -> Any:  # noqa: ANN401
    element = etree.SubElement(parent, f"{_NS}{name}", attributes)
    element.text = text
    return element


def _add_credit(network: Any, credit: Credit | None) -> None:  # noqa: ANN401
    if credit is None:
        return
    if credit.name:
        _add(network, "Description", credit.name)
    if credit.doi:
        _add(network, "Identifier", credit.doi, type="DOI")
    for subject, text in ((_CITATION, credit.citation), (_LICENCE, credit.licence)):
        if text:
            _add(_add(network, "Comment", subject=subject), "Value", text)


def _add_channel(station: Any, channel: Channel) -> None:  # noqa: ANN401
    attributes = _epoch([channel])
    if channel.restricted:
        attributes["restrictedStatus"] = "closed"
    element = _add(
        station, "Channel", code=channel.seed_id.channel, locationCode=channel.seed_id.location,
        **attributes,
    )  # fmt: skip
    if channel.response is None and channel.response_problem:
        _add(_add(element, "Comment"), "Value", f"{_NO_RESPONSE}{channel.response_problem}")
    values = (
        ("Latitude", channel.latitude), ("Longitude", channel.longitude),
        ("Elevation", channel.elevation_m), ("Depth", channel.depth_m),
        ("Azimuth", channel.azimuth_deg), ("Dip", channel.dip_deg),
        ("SampleRate", channel.sampling_rate_hz),
    )  # fmt: skip
    for name, value in values:
        if value is not None:
            _add(element, name, repr(value))
    if channel.response is not None:
        _add_response(element, channel.response)


def _add_response(channel: Any, response: Response) -> None:  # noqa: ANN401
    element = _add(channel, "Response")
    overall = _add(element, "InstrumentSensitivity")
    _add(overall, "Value", repr(response.sensitivity))
    _add(overall, "Frequency", repr(response.frequency_hz))
    _add_units(overall, response)
    stage = _add(element, "Stage", number="1")
    filter_ = _add(stage, "PolesZeros")
    _add_units(filter_, response)
    at = 2j * math.pi * response.frequency_hz
    gain = math.prod([abs(at - z) for z in response.zeros], start=1.0) / math.prod(
        [abs(at - p) for p in response.poles], start=1.0
    )
    _add(filter_, "PzTransferFunctionType", "LAPLACE (RADIANS/SECOND)")
    _add(filter_, "NormalizationFactor", repr(1.0 / gain))
    _add(filter_, "NormalizationFrequency", repr(response.frequency_hz))
    for name, roots in (("Zero", response.zeros), ("Pole", response.poles)):
        for number, root in enumerate(roots):
            entry = _add(filter_, name, number=str(number))
            _add(entry, "Real", repr(root.real))
            _add(entry, "Imaginary", repr(root.imag))
    gain_element = _add(stage, "StageGain")
    _add(gain_element, "Value", repr(response.sensitivity))
    _add(gain_element, "Frequency", repr(response.frequency_hz))


def _add_units(parent: Any, response: Response) -> None:  # noqa: ANN401
    _add(_add(parent, "InputUnits"), "Name", response.input_unit)
    _add(_add(parent, "OutputUnits"), "Name", "counts")
