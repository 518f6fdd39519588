"""Day files in data centres' public buckets on Amazon S3, read without an account.

Where they lie was taken from what the data centres write about them:

- SCEDC: https://scedc.caltech.edu/data/cloud.html; an example key is in run_lambda.py of
  https://github.com/SCEDC/tutorials
- NCEDC: https://ncedc.org/db/cloud.html
- EarthScope: https://www.earthscope.org/sponsored-open-data; one object holds all channels of a
  station for a day, of networks AK, II, IU, N4, PB, TA, UU and UW
- GeoNet: https://github.com/GeoNet/data-tutorials/tree/main/AWS_Open_Data
"""

import hashlib
import logging
import random
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import obstore
from obstore import exceptions as failures
from obstore.store import S3Store

from geomon.config import FdsnSource as FdsnSettings
from geomon.config import Network
from geomon.config import OpenDataSource as Settings
from geomon.ids import SeedId
from geomon.sources.answers import Answer, Spool
from geomon.sources.base import Fetched, holes, worst
from geomon.sources.dataselect import looks_like_miniseed
from geomon.sources.fdsn import FdsnSource
from geomon.sources.miniseed import Decoded, decode
from geomon.sources.records import Buffer
from geomon.stations import Stations
from geomon.times import NS_PER_S, TimeSpan, day_span
from geomon.waveforms import Asked, Gap, Provenance

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_MAX_WAIT_S = 120.0
_PROBE_BYTES = 1 << 16
_EDGE_NS = 5 * NS_PER_S
"""A day of which a span asks for no more than this is read only where the day beside it lacks."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a data centre keeps its day files.

    Attributes
    ----------
    bucket, region : str
        Of Amazon S3.
    key : str
        Format of an object's key, with ``network, station, location, channel``, ``year`` and
        ``day`` (of the year) as fields.
    """

    bucket: str
    region: str
    key: str

    def key_of(self, seed_id: SeedId, day: date) -> str:
        """Return the key of the object that holds a channel's day."""
        return self.key.format(
            network=seed_id.network,
            station=seed_id.station,
            location=seed_id.location,
            channel=seed_id.channel,
            year=day.year,
            day=day.timetuple().tm_yday,
        )


LAYOUTS: dict[str, Layout] = {
    "SCEDC": Layout(
        "scedc-pds",
        "us-west-2",
        "continuous_waveforms/{year}/{year}_{day:03d}/"
        "{network:_<2}{station:_<5}{channel}{location:_<2}_{year}{day:03d}.ms",
    ),
    "NCEDC": Layout(
        "ncedc-pds",
        "us-east-2",
        "continuous_waveforms/{network}/{year}/{year}.{day:03d}/"
        "{station}.{network}.{channel}.{location}.D.{year}.{day:03d}",
    ),
    "EARTHSCOPE": Layout(
        "earthscope-geophysical-data",
        "us-east-2",
        "miniseed/{network}/{year}/{day:03d}/{station}.{network}.{year}.{day:03d}",
    ),
    "GEONET": Layout(
        "geonet-open-data",
        "ap-southeast-2",
        "waveforms/miniseed/{year}/{year}.{day:03d}/{station}.{network}/"
        "{year}.{day:03d}.{station}.{location}-{channel}.{network}.D",
    ),
}


class OpenDataSource:
    """A `WaveformSource` over a public bucket of day files.

    Parameters
    ----------
    settings : config.OpenDataSource
        Whose bucket, and limits.
    network : config.Network
        Which stations and channels. Their metadata come from its file if there is one, otherwise
        from the data centre's station service.

    Raises
    ------
    ConfigError
        If nothing says which stations to ask for.
    StationMetadataError
        If the network's station file cannot be read.
    """

    def __init__(self, settings: Settings, network: Network) -> None:
        self.settings = settings
        self.layout = LAYOUTS[settings.centre]
        service = settings.station_service or settings.centre
        self._metadata = FdsnSource(FdsnSettings(urls=(service,)), network)
        region = settings.region or self.layout.region
        # Given in full, for the environment may name an endpoint and keys meant for the archive.
        self._store = S3Store(
            self.layout.bucket,
            endpoint=settings.endpoint or f"https://s3.{region}.amazonaws.com",
            region=region,
            skip_signature=True,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": settings.endpoint is not None,
                "connect_timeout": timedelta(seconds=settings.connect_timeout_s),
                "timeout": timedelta(seconds=settings.deadline_s),
            },
            retry_config={"max_retries": 0},
        )
        self._connections = threading.BoundedSemaphore(settings.max_connections)

    def close(self) -> None:
        """Close all connections."""
        self._metadata.close()

    def stations(self, span: TimeSpan) -> Stations:
        """Return the network's stations; see `WaveformSource.stations`."""
        return self._metadata.stations(span)

    def fetch(self, seed_ids: Sequence[SeedId], span: TimeSpan) -> Fetched:
        """Read some channels in one span from their day files; see `WaveformSource.fetch`.

        A record across midnight lies in the file of one of its days. The file of the day before
        or after is read too where samples lack at midnight.
        """
        wanted = sorted(set(seed_ids))
        reading = _Reading(self, wanted, span)
        days = _days(span)
        for day in days:
            reading.read(wanted, day)
        decoded = reading.decoded()
        if not days:
            return reading.fetched(decoded)
        inside = span.intersection(TimeSpan(day_span(days[0]).start_ns, day_span(days[-1]).end_ns))
        beside = list(_days_beside(holes(decoded.segments, wanted, inside), inside))
        for seed_id, day in beside:
            reading.read([seed_id], day)
        if beside:
            decoded = reading.decoded()
        return reading.fetched(decoded)

    def get(self, key: str) -> Iterator[Answer]:
        """Read one object, and again while that may help; each try is an answer, never an error."""
        for attempt in range(self.settings.max_attempts):
            if attempt:
                mean_s = min(self.settings.retry_wait_s * 2 ** (attempt - 1), _MAX_WAIT_S)
                time.sleep(random.uniform(0.5, 1.5) * mean_s)
            answer = self._get(key)
            yield answer
            if not answer.retry:
                break

    def _get(self, key: str) -> Answer:
        with self._connections:
            asked_ns, begun = time.time_ns(), time.monotonic()
            answer = self._read(key)
            took_s = time.monotonic() - begun
        n_bytes = len(answer.body)
        asked = Asked(
            url=f"s3://{self.layout.bucket}/{key}",
            request="",
            asked_ns=asked_ns,
            took_s=took_s,
            outcome=answer.outcome,
            n_bytes=n_bytes,
            sha256=hashlib.sha256(answer.body).hexdigest() if n_bytes else "",
        )
        return replace(answer, asked=asked)

    def _read(self, key: str) -> Answer:
        where = f"{self.layout.bucket}/{key}"
        limit = self.settings.max_object_mb
        spool = Spool()
        try:
            found = obstore.get(self._store, key)
            size = found.meta["size"]
            if size > limit * 1e6:
                detail = f"{where}: {size / 1e6:.0f} MB, more than {limit:g} MB"
                return Answer("too_large", detail=detail)
            for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                spool.write(bytes(chunk))
                if spool.n_bytes > size:
                    break
            if spool.n_bytes != size:
                detail = f"{where}: {spool.n_bytes} bytes came of {size}"
                return Answer("truncated", detail=detail, retry=True)
            if size == 0:
                return Answer("nodata", is_whole=True)
            body = spool.content()
            if not looks_like_miniseed(bytes(memoryview(body)[:_PROBE_BYTES])):
                return Answer("not_data", detail=f"{where}: holds no miniSEED", retry=True)
            return Answer("data", body, is_whole=True)
        except (FileNotFoundError, failures.BaseError) as error:
            reason = " ".join(str(error).partition("Debug source")[0].split())
            return _failure(where, error, reason)
        finally:
            spool.close()


class _Reading:
    """What is read for one fetch."""

    def __init__(self, source: OpenDataSource, wanted: list[SeedId], span: TimeSpan) -> None:
        self._source = source
        self._wanted = wanted
        self._span = span
        self._answers: dict[str, Answer] = {}
        self._asked: list[Asked] = []

    def read(self, seed_ids: Sequence[SeedId], day: date) -> None:
        """Read the objects that hold a day of some channels, each object once."""
        for seed_id in seed_ids:
            key = self._source.layout.key_of(seed_id, day)
            if key in self._answers:
                continue
            for answer in self._source.get(key):
                self._answers[key] = answer
                if answer.asked is not None:
                    self._asked.append(answer.asked)

    def _bodies(self) -> list[Buffer]:
        return [self._answers[key].body for key in sorted(self._answers)]

    def decoded(self) -> Decoded:
        """Return all that was read; other channels in the same object are no fault."""
        decoded = decode(*self._bodies(), allowed=frozenset(self._wanted), span=self._span)
        rejected = {reason: n for reason, n in decoded.rejected.items() if reason != "channel"}
        return replace(decoded, rejected=rejected, foreign=())

    def fetched(self, decoded: Decoded) -> Fetched:
        """Return what the fetch brought."""
        answers = self._answers.values()
        outcome = worst((answer.outcome for answer in answers), "nodata")
        if outcome == "data" and decoded.is_damaged:
            logger.info("%s: damaged; what is sound is kept", ", ".join(self._answers))
        if outcome in ("data", "nodata"):
            outcome = "data" if decoded.segments else "nodata"
        digest = hashlib.sha256()
        for body in self._bodies():
            digest.update(body)
        details = [answer.detail for answer in answers if answer.detail]
        names = ",".join(str(seed_id) for seed_id in self._wanted)
        return Fetched(
            outcome=outcome,
            segments=decoded.segments,
            provenance=Provenance(
                source=f"s3:{self._source.layout.bucket}",
                request=f"{names} {self._span}",
                sha256=digest.hexdigest(),
            ),
            n_bytes=sum(len(answer.body) for answer in answers),
            problems=(*details, *decoded.problems),
            missing=holes(decoded.segments, self._wanted, self._span),
            unchecked=decoded.unchecked,
            timing_quality=decoded.timing_quality,
            asked=tuple(self._asked),
        )


def _days(span: TimeSpan) -> list[date]:
    """Return the days a span is about: not those it merely touches."""
    if span.end_ns - span.start_ns <= 2 * _EDGE_NS:
        return span.days()
    return TimeSpan(span.start_ns + _EDGE_NS, span.end_ns - _EDGE_NS).days()


def _days_beside(missing: Sequence[Gap], inside: TimeSpan) -> Iterator[tuple[SeedId, date]]:
    """Yield the days beside `inside` whose files may hold what lacks at its midnights."""
    days = inside.days()
    first, last = day_span(days[0]), day_span(days[-1])
    for gap in missing:
        if gap.span.start_ns == inside.start_ns == first.start_ns:
            yield gap.seed_id, days[0] - timedelta(days=1)
        if gap.span.end_ns == inside.end_ns == last.end_ns:
            yield gap.seed_id, days[-1] + timedelta(days=1)


def _failure(where: str, error: Exception, reason: str) -> Answer:
    # The library tells most HTTP statuses in words only.
    found = re.search(r"status code: (\d{3})", reason)
    status = int(found[1]) if found else 0
    if "NoSuchBucket" in str(error):
        return Answer("rejected", detail=f"{where}: there is no such bucket")
    if isinstance(error, FileNotFoundError):
        return Answer("nodata", is_whole=True)
    if status in (401, 403):
        return Answer("auth", detail=f"{where}: access refused; is it open to the public?")
    if status in (429, 503):
        return Answer("throttled", detail=f"{where}: HTTP {status}, slower", retry=True)
    if 300 <= status < 400 or "redirect" in reason:
        detail = f"{where}: the bucket is in another region; set source.region"
        return Answer("rejected", detail=detail)
    if 400 <= status < 500 and status != 408:
        return Answer("rejected", detail=f"{where}: HTTP {status}")
    return Answer("network", detail=f"{where}: {reason[:200]}", retry=True)
