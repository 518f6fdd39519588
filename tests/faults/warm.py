"""Loads what work needs, once, in the process that the processes to be killed are forked from."""

import importlib
import os
import tempfile
from pathlib import Path

import dask
import numpy as np
import obspy

from geomon.ids import SeedId
from geomon.locating import locate, solve
from geomon.miniseed import encode
from geomon.picking import card
from geomon.services import backfill_run
from geomon.sources import fdsn, files
from geomon.sources.miniseed import decode
from geomon.stores.archive import Archive
from geomon.stores.catalog import Catalog
from geomon.times import NS_PER_DAY
from geomon.waveforms import Provenance, Segment

LOADED = (backfill_run, card, dask, fdsn, files, locate, obspy, solve)


def _touch() -> None:
    """Have compiled code compiled, and import what is imported late."""
    if not os.environ.get("GEOMON_TEST_QUICK"):
        importlib.import_module("tensorflow")
    samples = np.arange(5_000, dtype=np.int32) % 77
    minute = Segment(SeedId.parse("XX.WARM..HHZ"), NS_PER_DAY, 100.0, samples)
    found = decode(encode([minute] * 2, format_version=2, record_length=512))
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.open(Path(folder, "archive"))
        archive.write(found.segments, Provenance("files", "warm", "0" * 64))
        archive.verify()
        Catalog.open(f"sqlite:///{folder}/catalog.sqlite").close()


_touch()
