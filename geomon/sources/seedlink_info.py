"""What a SeedLink server says it has: the answer to INFO STREAMS."""

import json

from lxml import etree

from geomon.errors import DataError
from geomon.ids import SeedId


def channels_v3(content: bytes) -> set[SeedId]:
    """Read the channels in version 3's XML.

    Raises
    ------
    DataError
        If it is not such a document.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    found: set[SeedId] = set()
    try:
        root = etree.fromstring(content.strip(b"\0 \r\n"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        msg = f"INFO STREAMS is not XML: {error}"
        raise DataError(msg) from error
    for station in root.iter("station"):
        for stream in station.iter("stream"):
            codes = (
                station.get("network", ""), station.get("name", ""),
                stream.get("location", ""), stream.get("seedname", ""),
            )  # fmt: skip
            _add(found, codes)
    return found


def channels_v4(content: bytes) -> set[SeedId]:
    """Read the channels in version 4's JSON.

    Raises
    ------
    DataError
        If it is not such a document.
    """
    found: set[SeedId] = set()
    try:
        for station in json.loads(content)["station"]:
            network, _, name = str(station["id"]).partition("_")
            for stream in station.get("stream", []):
                location, *channel = str(stream["id"]).split("_")
                _add(found, (network, name, location, "".join(channel)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"INFO STREAMS is not as JSON should be: {error!r}"
        raise DataError(msg) from error
    return found


def _add(found: set[SeedId], codes: tuple[str, ...]) -> None:
    try:
        found.add(SeedId(*(code.strip().replace("--", "") for code in codes)))
    except (DataError, TypeError):
        return  # a log or state-of-health stream under a name of its own
