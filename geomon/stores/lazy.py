"""A sensor's days as Dask arrays, one block a station-day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geomon.ids import StreamId
from geomon.stores.dayrecord import GridRun
from geomon.stores.layout import N_ROWS, ROWS, Series, row_of
from geomon.stores.listing import opened
from geomon.stores.objects import ObjectStore, read_steadily
from geomon.times import NS_PER_DAY, NS_PER_S, day_span

if TYPE_CHECKING:
    import dask.array as da


@dataclass(frozen=True, slots=True, eq=False)
class LazyStream:
    """Whole days of one sensor at one sampling rate, read when computed.

    Attributes
    ----------
    stream_id : StreamId
        The sensor.
    sampling_rate_hz : float
        Samples per second.
    days : tuple of date
        One for each block; days without an object are left out.
    components : tuple of str
        Component letters each row may hold, as in the archive's arrays.
    samples : dask array, shape (3, n_days * positions a day)
        The array as stored: a sample lies at its time rounded to the sampling grid of its day.
        Where `is_held` is false the value means nothing.
    is_held : dask array of bool, same shape
        Whether there is a sample.
    """

    stream_id: StreamId
    sampling_rate_hz: float
    days: tuple[date, ...]
    components: tuple[str, ...]
    samples: "da.Array"
    is_held: "da.Array"

    def time_ns(self, position: int) -> int:
        """Time of a position, to half a sample; exact times come with `Archive.read_stream`."""
        per_day = int(self.samples.shape[1]) // len(self.days)
        day, rest = divmod(position, per_day)
        start_ns = day_span(self.days[day]).start_ns
        return start_ns + min(round(rest * NS_PER_S / self.sampling_rate_hz), NS_PER_DAY - 1)


def lazy_stream(store: ObjectStore, series: Series, days: Sequence[date]) -> LazyStream:
    """Describe the days of a series as Dask arrays.

    Parameters
    ----------
    store : ObjectStore
        Where the archive is; pickled into each task.
    series : Series
        Sensor, rate and sample type.
    days : sequence of date
        Days that have an object, at least one.
    """
    import dask.array as da
    from dask import delayed

    shape = (N_ROWS, series.day_samples)
    read, held = delayed(_samples), delayed(_held)
    samples = [
        da.from_delayed(read(store, series, day), shape=shape, dtype=series.dtype) for day in days
    ]
    is_held = [da.from_delayed(held(store, series, day), shape=shape, dtype=bool) for day in days]
    return LazyStream(
        series.stream_id,
        series.sampling_rate_hz,
        tuple(days),
        tuple("".join(letters) for letters in ROWS),
        da.concatenate(samples, axis=1),
        da.concatenate(is_held, axis=1),
    )


def _samples(store: ObjectStore, series: Series, day: date) -> NDArray[Any]:
    samples = np.full((N_ROWS, series.day_samples), series.fill, series.dtype)

    def read() -> None:
        with opened(store, series, day) as stored:
            if stored is not None:
                stored.read_runs(
                    [
                        (run, 0, run.n_samples, samples[row_of(run.component), _there(run)])
                        for run in stored.record.runs
                    ]
                )

    read_steadily(read)
    return samples


def _held(store: ObjectStore, series: Series, day: date) -> NDArray[np.bool_]:
    def runs() -> tuple[GridRun, ...]:
        with opened(store, series, day) as stored:
            return () if stored is None else stored.record.runs

    is_held = np.zeros((N_ROWS, series.day_samples), np.bool_)
    for run in read_steadily(runs):
        is_held[row_of(run.component), _there(run)] = True
    return is_held


def _there(run: GridRun) -> slice:
    return slice(run.position, run.position + run.n_samples)
