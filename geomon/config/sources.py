"""Where waveforms come from: one section for each kind of source."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from geomon.config.section import Section

_SERVER = r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?$"


class HostLimits(Section):
    """How fast one host may be asked."""

    max_connections: Annotated[int, Field(ge=1, le=16)] | None = None
    """Requests at a time."""
    requests_per_s: Annotated[float, Field(gt=0, le=100)] | None = None
    """Requests a second."""


class _ByHost(dict[str, HostLimits]):
    # A config is a key of caches.
    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


class FdsnSource(Section):
    """FDSN web services (dataselect and station)."""

    kind: Literal["fdsn"] = "fdsn"
    urls: Annotated[tuple[str, ...], Field(min_length=1)]
    """Data centres in order of preference: base URLs or names ObsPy knows, for example SCEDC."""
    auth: Literal["none", "password", "token", "eida"] = "none"
    """How to be let in to restricted data; the secrets come from the environment only.

    password: GEOMON_FDSN_USER and GEOMON_FDSN_PASSWORD, by HTTP digest at queryauth. token:
    GEOMON_FDSN_TOKEN, sent as a bearer token. eida: GEOMON_FDSN_TOKEN holds an EIDA token, which
    the data centre exchanges for a user and password. With several data centres the variables
    say whose they are: GEOMON_FDSN_TOKEN_GEOFON_GFZ_DE is for geofon.gfz.de; a data centre
    without any is asked as anyone. Secrets go over https only.
    """
    contact: str = ""
    """E-mail address sent as part of the User-Agent, as data centres ask for."""
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    """Longest wait for a connection."""
    read_timeout_s: Annotated[float, Field(gt=0, le=600)] = 60.0
    """Longest silence in the middle of an answer."""
    deadline_s: Annotated[float, Field(gt=0, le=7200)] = 600.0
    """Longest time for one request in all."""
    min_bytes_per_s: Annotated[float, Field(ge=0)] = 500.0
    """Slowest answer accepted, on average, once `read_timeout_s` has passed."""
    max_answer_mb: Annotated[float, Field(gt=0, le=8192)] = 128.0
    """Largest answer accepted, unpacked, in megabytes (10^6 bytes)."""
    max_channel_days: Annotated[float, Field(gt=0, le=1000)] = 8.0
    """Most data asked for in one request, as channels times days; more is asked in parts."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """How often one request is tried."""
    retry_wait_s: Annotated[float, Field(ge=0, le=600)] = 1.0
    """Mean wait before the second try; it doubles with each further one, up to two minutes."""
    pause_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """How long a host is left alone after five failures in a row."""
    max_connections: Annotated[int, Field(ge=1, le=16)] | None = None
    """Requests to one host at a time; by default what the host is known to allow, else 3."""
    requests_per_s: Annotated[float, Field(gt=0, le=100)] | None = None
    """Requests to one host a second; by default what the host is known to allow, else 5."""
    limits: Annotated[dict[str, HostLimits], AfterValidator(_ByHost)] = Field(
        default_factory=_ByHost
    )
    """Other limits for single hosts, by host name (with the port, where the URL has one)."""


class OpenDataSource(Section):
    """A data centre's public bucket of day files on Amazon S3, read anonymously."""

    kind: Literal["opendata"] = "opendata"
    centre: Literal["SCEDC", "NCEDC", "EARTHSCOPE", "GEONET"]
    """Whose bucket."""
    endpoint: Annotated[str, Field(pattern=r"^https?://[^/@\s]+/?$")] | None = None
    """Address of another S3 server that holds a copy of the bucket; by default Amazon's."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] | None = None
    """Amazon region, should the bucket have moved."""
    station_service: str | None = None
    """Base URL of the FDSN station service; by default the centre's own."""
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    """Longest wait for a connection."""
    deadline_s: Annotated[float, Field(gt=0, le=7200)] = 300.0
    """Longest time for one object in all."""
    max_object_mb: Annotated[float, Field(gt=0, le=8192)] = 512.0
    """Largest object read, in megabytes (10^6 bytes)."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """How often one object is tried."""
    retry_wait_s: Annotated[float, Field(ge=0, le=600)] = 1.0
    """Mean wait before the second try; it doubles with each further one, up to two minutes."""
    max_connections: Annotated[int, Field(ge=1, le=64)] = 8
    """Objects read at a time."""


class FilesSource(Section):
    """Folders of miniSEED files, found by their content."""

    kind: Literal["files"] = "files"
    paths: Annotated[tuple[Path, ...], Field(min_length=1)]
    """Files or folders, searched recursively."""


class SeedLinkSource(Section):
    """SeedLink servers: waveforms as they are recorded, protocol versions 3 and 4."""

    kind: Literal["seedlink"] = "seedlink"
    servers: Annotated[tuple[Annotated[str, Field(pattern=_SERVER)], ...], Field(min_length=1)]
    """Servers in order of preference, as HOST:PORT; the port is 18000 by default, 18500 for TLS."""
    protocol: Literal["auto", 3, 4] = "auto"
    """Protocol version to speak; by default the newest the server offers."""
    tls: bool = False
    """Whether to encrypt the connection and check the server's certificate."""
    state: Path = Path("seedlink-state.json")
    """File that remembers the last packet archived of each station."""
    reach_s: Annotated[float, Field(ge=0, le=3_153_600_000)] = 86_400.0
    """How far back a station is asked for the first time."""
    max_connections: Annotated[int, Field(ge=1, le=16)] = 1
    """Connections to one server at a time."""
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Longest wait for a connection."""
    read_timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Longest silence of a server that owes an answer."""
    quiet_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """Silence after which a version 3 server, which need not tell, has sent all it has."""
    deadline_s: Annotated[float, Field(gt=0, le=86_400)] = 600.0
    """Longest time to collect or fetch in one go; the next one goes on from there."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """How often a connection that broke is made again."""
    retry_wait_s: Annotated[float, Field(ge=0, le=600)] = 1.0
    """Mean wait before the second connection; it doubles with each further one."""
    max_batch_mb: Annotated[float, Field(gt=0, le=512)] = 32.0
    """Megabytes (10^6 bytes) received between two writes to the archive."""
    max_answer_mb: Annotated[float, Field(gt=0, le=8192)] = 128.0
    """Largest answer to one request for a span of time, in megabytes."""
    max_packet_kb: Annotated[float, Field(ge=1, le=16_000)] = 1024.0
    """Largest packet accepted, in kilobytes (10^3 bytes)."""


class SimulatedSource(Section):
    """A simulated network with known truth."""

    kind: Literal["simulated"] = "simulated"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Everything random follows from it."""
    n_stations: Annotated[int, Field(ge=4, le=200)] = 12
    """Number of stations."""
    events_per_hour: Annotated[float, Field(ge=0, le=2000)] = 48.0
    """Mean rate of earthquakes."""


type Source = Annotated[
    FdsnSource | FilesSource | OpenDataSource | SeedLinkSource | SimulatedSource,
    Field(discriminator="kind"),
]
