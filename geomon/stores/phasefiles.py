"""Phase files other locators read: NonLinLoc, HypoDD, and Nordic as SEISAN has it.

ObsPy writes the lines; here events are numbered and put together.
"""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from geomon.events import Event
from geomon.stores.quakeml import to_obspy

if TYPE_CHECKING:
    from obspy.core.event import Catalog as ObspyCatalog

logger = logging.getLogger(__name__)

type PhaseFormat = Literal["nonlinloc", "hypodd", "nordic"]


def write_phases(events: Iterable[Event], kind: PhaseFormat) -> bytes:
    """Return the arrivals of events as a phase file.

    Parameters
    ----------
    events : iterable of Event
        What to write; an event without arrivals is left out of NonLinLoc's file.
    kind : {"nonlinloc", "hypodd", "nordic"}
        NonLinLoc's ``NLLOC_OBS``, events apart by an empty line; HypoDD's ``phase.dat`` for
        ph2dt, events numbered from 1, those of unknown depth left out; or Nordic with one block
        an event.
    """
    writers: dict[PhaseFormat, Callable[[ObspyCatalog, Path], None]] = {
        "nonlinloc": _nonlinloc, "hypodd": _hypodd, "nordic": _nordic,
    }  # fmt: skip
    with (
        warnings.catch_warnings(record=True) as caught,
        tempfile.TemporaryDirectory() as folder,
    ):
        warnings.simplefilter("always")
        file = Path(folder) / "phases"
        writers[kind](to_obspy(events), file)
        content = file.read_bytes() if file.exists() else b""
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        logger.warning("%s: %s", kind, message)
    return content


def _nonlinloc(catalog: "ObspyCatalog", file: Path) -> None:
    blocks = []
    for number, event in enumerate(catalog):
        if event.picks:
            catalog[number : number + 1].write(file, format="NLLOC_OBS")
            blocks.append(file.read_text(encoding="utf-8"))
    file.write_text("\n".join(blocks), encoding="utf-8")


def _hypodd(catalog: "ObspyCatalog", file: Path) -> None:
    from obspy.core.event import ResourceIdentifier

    n_events = len(catalog)
    catalog.events = [e for e in catalog if e.preferred_origin().depth is not None]
    if len(catalog) < n_events:
        logger.warning("hypodd: left out %d events of unknown depth", n_events - len(catalog))
    for number, event in enumerate(catalog, 1):  # its ids are whole numbers
        event.resource_id = ResourceIdentifier(f"smi:local/event/{number}")
    catalog.write(file, format="HYPODDPHA")


def _nordic(catalog: "ObspyCatalog", file: Path) -> None:
    from obspy.io.nordic.core import write_select

    for event in catalog:
        for pick in event.picks:
            pick.pop("extra", None)  # taken for a weight
    write_select(catalog, str(file), userid="GM", evtype="L", wavefiles=[""] * len(catalog))
