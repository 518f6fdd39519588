"""Who may reach the web services, and how much of them."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from geomon.config.section import Section

type _Stations = tuple[Annotated[str, Field(pattern=r"^[A-Z0-9*?-]+\.[A-Z0-9*?-]+$")], ...]
_ORIGIN = r"^https?://[A-Za-z0-9.:\[\]-]+$"


class _ByUser(dict[str, _Stations]):
    # A config is a key of caches.
    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


class Server(Section):
    """The web services: who may read restricted data or change events, and how much is served.

    Waveforms of channels that StationXML marks closed or partial are for `readers` only, and only
    by ``queryauth``. Events may be changed by `writers`, who log in on the page, and by programs
    that send the token in GEOMON_WRITE_TOKEN as a bearer token. Where there are neither, and the
    server listens on the loopback address only, whoever sits at the machine may change them.
    """

    users: Path | None = None
    """File of users and passwords, lines of ``user:FDSN:hash`` as ``geomon users set`` and Apache's
    ``htdigest`` write it."""
    writers: tuple[str, ...] = ()
    """Users who may change events."""
    readers: Annotated[dict[str, _Stations], AfterValidator(_ByUser)] = Field(
        default_factory=_ByUser
    )
    """Users who may read restricted waveforms, and of which stations: NET.STA with wildcards."""
    restricted: _Stations = ()
    """Stations whose waveforms are restricted whatever StationXML says: NET.STA with wildcards."""
    cors_origins: tuple[Annotated[str, Field(pattern=_ORIGIN)], ...] = ()
    """Other sites whose pages may read what is open here, for example https://example.org."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = 1200
    """Most requests of one address a minute, but for those from this machine; 429 above it."""
    max_body_kb: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Largest body of a request, in kilobytes (10^3 bytes); 413 above it."""
    statement_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Longest time the database works on one question of a request; 503 after it."""
