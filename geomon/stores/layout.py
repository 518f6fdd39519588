"""Shape of the arrays and names of the objects of the waveform archive.

One Zarr v3 array holds one sensor at one sampling rate for one calendar year::

    NET/STA/LOC.BI@RATE/YEAR/zarr.json      int32 (component, time); float streams beside it
    NET/STA/LOC.BI@RATE/YEAR/c/0/DAY        one object a day, DAY counted from 0

Hidden beside them, and of no meaning to Zarr::

    NET/STA/LOC.BI@RATE/YEAR/.index         what each day covers, see `geomon.stores.index`
    NET/STA/LOC.BI@RATE/YEAR/.damaged/…     objects set aside, see `geomon.stores.checking`

An empty location is written ``_``. The first dimension has three rows; which component letter
uses which is fixed (`ROWS`). The second has the same number of positions for every day, so that
each day is one shard; the position of a sample is its place in the day rounded to the sampling
grid, and its exact time stands in the day record.
"""

import calendar
import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import numpy as np

from geomon.errors import WaveformError
from geomon.ids import StreamId
from geomon.times import NS_PER_DAY

FORMAT = 2
ROWS = (("Z", "3", "U", "A"), ("N", "1", "V", "B", "R"), ("E", "2", "W", "C", "T"))
N_ROWS = len(ROWS)
PCODEC_LEVEL = 7

SampleType = Literal["int32", "float32", "float64"]
SAMPLE_TYPES: tuple[SampleType, ...] = ("int32", "float32", "float64")

_CHUNKS_A_DAY = (96, 24, 6, 1)
_MIN_CHUNK = 6000  # samples; below it pcodec's headers cost more than short reads save
_DAYS_A_YEAR = 366  # in all years, so that arrays of different years have the same shape
_MIN_RATE_HZ = 1e-4
_MAX_RATE_HZ = 1e6
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def row_of(component: str) -> int:
    """Return the array row a component letter uses; letters without a place share the first."""
    return next((row for row, letters in enumerate(ROWS) if component in letters), 0)


def row_priority(component: str) -> tuple[int, str]:
    """Order letters that share a row: the first one present on a day is kept in the array."""
    letters = ROWS[row_of(component)]
    return (letters.index(component) if component in letters else len(letters), component)


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One sensor at one sampling rate and sample type: what shares an array a year.

    Raises
    ------
    WaveformError
        If the rate lies outside 0.0001 Hz to 1 MHz.
    """

    stream_id: StreamId
    sampling_rate_hz: float
    sample_type: SampleType

    def __post_init__(self) -> None:
        if not _MIN_RATE_HZ <= self.sampling_rate_hz <= _MAX_RATE_HZ:
            msg = (
                f"{self.stream_id}: sampling rate {self.sampling_rate_hz} Hz is outside "
                f"{_MIN_RATE_HZ:g} to {_MAX_RATE_HZ:g} Hz"
            )
            raise WaveformError(msg)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored samples, native byte order."""
        return np.dtype(self.sample_type)

    @property
    def fill(self) -> int | float:
        """Value of array positions without a sample; positions with one may hold it, too."""
        return -(2**31) if self.sample_type == "int32" else math.nan

    @property
    def n_chunks(self) -> int:
        """Inner chunks a row and day: 15 minutes each from 7 Hz on, longer below."""
        per_day = 86_400 * self.sampling_rate_hz
        return next((n for n in _CHUNKS_A_DAY if per_day / n >= _MIN_CHUNK), 1)

    @property
    def chunk_samples(self) -> int:
        """Positions in an inner chunk."""
        return max(1, math.ceil(86_400 * self.sampling_rate_hz / self.n_chunks - 1e-6))

    @property
    def day_samples(self) -> int:
        """Positions a day in the array: the samples of a day, rounded up to whole chunks."""
        return self.chunk_samples * self.n_chunks

    @property
    def folder(self) -> str:
        """Folder of the series, ``NET/STA/LOC.BI@RATE``."""
        stream = self.stream_id
        rate = repr(float(self.sampling_rate_hz)).removesuffix(".0")
        kind = "" if self.sample_type == "int32" else f".{self.sample_type}"
        name = f"{stream.location or '_'}.{stream.band_instrument}@{rate}{kind}"
        return f"{stream.network}/{stream.station}/{name}"

    @classmethod
    def parse(cls, network: str, station: str, name: str) -> "Series | None":
        """Read the names of a series folder; None when they are not one."""
        sensor, at, rate_text = name.partition("@")
        location, dot, band_instrument = sensor.partition(".")
        if not (at and dot):
            return None
        sample_type: SampleType = "int32"
        for kind in SAMPLE_TYPES[1:]:
            if rate_text.endswith(f".{kind}"):
                sample_type, rate_text = kind, rate_text.removesuffix(f".{kind}")
        try:
            stream = StreamId(
                network, station, "" if location == "_" else location, band_instrument
            )
            series = cls(stream, float(rate_text), sample_type)
        except ValueError:
            return None
        return series if series.folder == f"{network}/{station}/{name}" else None

    def array_key(self, year: int) -> str:
        """Name of the folder of a year's array."""
        return f"{self.folder}/{year}"

    def days_prefix(self, year: int) -> str:
        """Name of the folder of a year's day objects."""
        return f"{self.array_key(year)}/c/0"

    def day_key(self, day: date) -> str:
        """Name of the object of a day."""
        return f"{self.days_prefix(day.year)}/{day.timetuple().tm_yday - 1}"

    def array_metadata(self, year: int) -> bytes:
        """Return the content of a year array's ``zarr.json``."""
        codec = {"level": PCODEC_LEVEL, "mode_spec": "classic"}
        inner = [
            {"name": "numcodecs.pcodec", "configuration": codec},
            {"name": "crc32c"},
        ]
        index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
        sharding = {
            "chunk_shape": [1, self.chunk_samples],
            "codecs": inner,
            "index_codecs": index,
            "index_location": "end",
        }
        return _as_json(
            {
                "zarr_format": 3,
                "node_type": "array",
                "shape": [N_ROWS, _DAYS_A_YEAR * self.day_samples],
                "data_type": self.sample_type,
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [N_ROWS, self.day_samples]},
                },
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                "fill_value": self.fill if self.sample_type == "int32" else "NaN",
                "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
                "attributes": {
                    "geomon_format": FORMAT,
                    "stream": str(self.stream_id),
                    "start": f"{year:04d}-01-01T00:00:00Z",
                    "sampling_rate_hz": self.sampling_rate_hz,
                    "positions_per_day": self.day_samples,
                    "components": ["".join(letters) for letters in ROWS],
                    "units": "counts",
                },
                "dimension_names": ["component", "time"],
                "storage_transformers": [],
            }
        )


def group_metadata(attributes: dict[str, Any]) -> bytes:
    """Return the content of a Zarr group's ``zarr.json``."""
    return _as_json({"zarr_format": 3, "node_type": "group", "attributes": attributes})


def _as_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


def year_day(year: int, index: int) -> date:
    """Return the day of a year, counted from 0."""
    return datetime(year, 1, 1, tzinfo=UTC).date() + timedelta(days=index)


def day_of(time_ns: int) -> date:
    """Return the UTC day of an instant, exactly."""
    return date.fromordinal(time_ns // NS_PER_DAY + _EPOCH_ORDINAL)


def day_number(day: date) -> int:
    """Return how many days after 1970-01-01 a day is."""
    return day.toordinal() - _EPOCH_ORDINAL


def is_day_name(year: int, name: str) -> bool:
    """Tell whether an object name is that of a day of a year: its number from 0, plainly."""
    n_days = 366 if calendar.isleap(year) else 365
    return name.isdecimal() and str(int(name)) == name and int(name) < n_days
