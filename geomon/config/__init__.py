"""The one YAML file that describes a network, checked before anything runs.

Every key is documented here and in ``geomon config schema``. Environment variables override it:
``GEOMON_ARCHIVE__URL=s3://bucket`` sets ``archive.url``. Secrets come only from the environment.
Relative paths resolve from the folder of the config file.
"""

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from geomon.config.complaints import check_environment, one_line, read_sections, unknown_key
from geomon.config.magnitude import MagnitudeSettings, StationCorrection
from geomon.config.section import Section
from geomon.config.server import Server
from geomon.config.sources import (
    FdsnSource,
    FilesSource,
    HostLimits,
    OpenDataSource,
    SeedLinkSource,
    SimulatedSource,
    Source,
)
from geomon.config.velocity import Layer, Velocity
from geomon.errors import ConfigError, DataError
from geomon.velocity import IASP91

__all__ = [
    "Alerts",
    "Archive",
    "Association",
    "Catalog",
    "Compute",
    "Config",
    "FdsnSource",
    "FilesSource",
    "HostLimits",
    "Layer",
    "MagnitudeSettings",
    "Network",
    "NetworkCredit",
    "OpenDataSource",
    "PickerSettings",
    "Region",
    "Schedule",
    "SeedLinkSource",
    "Server",
    "SimulatedSource",
    "Source",
    "StationCorrection",
    "Velocity",
    "config_schema",
    "find_config",
    "load_config",
]

logger = logging.getLogger(__name__)

_PACKAGED = Path(__file__).parent.parent / "configs"
_CHECKOUT = _PACKAGED.parent.parent / "configs"


_PLACE = re.compile(r"file://.|s3://[^/]|(?!\w+:/).")


def _place(url: str) -> str:
    if not _PLACE.match(url):
        msg = "write the path of a folder, or s3://bucket/prefix"
        raise ValueError(msg)
    return url


class Region(Section):
    """Where events are looked for."""

    west: Annotated[float, Field(ge=-180, le=180)]
    """Western edge, degrees east."""
    south: Annotated[float, Field(ge=-90, le=90)]
    """Southern edge, degrees north."""
    east: Annotated[float, Field(ge=-180, le=180)]
    """Eastern edge, degrees east; smaller than `west` when the region crosses the dateline."""
    north: Annotated[float, Field(ge=-90, le=90)]
    """Northern edge, degrees north."""
    max_depth_km: Annotated[float, Field(gt=0, le=800)] = 30.0
    """Deepest hypocentre looked for, kilometres below sea level."""
    min_depth_km: Annotated[float, Field(ge=-9, le=100)] | None = None
    """Shallowest hypocentre looked for, negative above sea level; by default as high as the highest
    station."""

    @model_validator(mode="after")
    def _ordered(self) -> "Region":
        if self.north <= self.south:
            msg = f"north ({self.north}) must be larger than south ({self.south})"
            raise ValueError(msg)
        if self.min_depth_km is not None and self.min_depth_km >= self.max_depth_km:
            msg = f"min_depth_km ({self.min_depth_km}) must be less than max_depth_km"
            raise ValueError(msg)
        return self


class NetworkCredit(Section):
    """Whose data those of one network code are, where its StationXML does not say so."""

    network: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,8}$")]
    """Network code."""
    name: str = ""
    """What the network calls itself."""
    doi: Annotated[str, Field(pattern=r"^(10\.\d{4,9}/\S+)?$")] = ""
    """Its digital object identifier, for example 10.7914/SN/XX."""
    citation: str = ""
    """How it wants to be cited."""
    licence: str = ""
    """Under what terms its data may be used: an SPDX name, for example CC-BY-4.0, or a URL."""


class Network(Section):
    """The stations watched, and the area they watch."""

    name: Annotated[str, Field(min_length=1)]
    """What the network is called in pages, reports and alerts."""
    agency: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "geomon"
    """Agency id written into QuakeML and public ids: letters, digits, - and _, 32 at most."""
    region: Region | None = None
    """Where events are looked for; by default the stations' box grown by half its size."""
    stations: Path | None = None
    """StationXML or CSV file of the stations; by default the source is asked."""
    select: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9*?-]+\.[A-Z0-9*?-]+$")], ...] = ()
    """Stations to use, as NET.STA with wildcards, for example CX.PB*; all by default."""
    channels: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9]{2}$")], ...] = (
        "HH", "EH", "BH", "DP", "GP", "HN", "EN",
    )  # fmt: skip
    """Band and instrument codes to use, such as HH, the first one a sensor site has."""
    credits: tuple[NetworkCredit, ...] = ()
    """Whose data these are; it travels with everything exported or served."""


class Archive(Section):
    """The waveform archive."""

    url: Annotated[str, AfterValidator(_place)] = "archive"
    """Folder of the Zarr archive, or ``s3://bucket/prefix``; endpoint, region and credentials of S3
    come from the environment: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and so on."""


class Catalog(Section):
    """The event catalogue, picks and ledger."""

    url: Annotated[str, Field(pattern=r"^(sqlite|postgresql)(\+[a-z0-9]+)?://.+")] = (
        "sqlite:///catalog.sqlite"
    )
    """SQLAlchemy URL: sqlite:///path/catalog.sqlite or postgresql://user@host/name; a relative
    SQLite path resolves from the config file, a password comes from the environment."""


class PickerSettings(Section):
    """The phase picker."""

    name: str = "default"
    """Name of a packaged or imported picker, or the path of a picker folder."""
    backend: Literal["tensorflow", "onnxruntime"] = "tensorflow"
    """What computes: ``onnxruntime`` starts at once and takes less memory, but runs plain U-Nets on
    processors only and is a package of its own; results agree to 1e-5."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What Keras computes plain U-Nets in; ``bfloat16`` is for GPUs, probabilities are then off by
    up to 0.05."""
    batch: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Pieces of 11 minutes computed at once; by default 32 on each GPU, and one without."""
    threshold_p: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Probability a P pick must exceed; by default the picker card's."""
    threshold_s: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Probability an S pick must exceed; by default the picker card's."""


class Association(Section):
    """How picks are grouped into events."""

    tile_s: Annotated[int, Field(ge=60, le=86_400)] = 600
    """Length of an association tile, seconds; tiles start at multiples of it since 1970."""
    min_stations: Annotated[int, Field(ge=3, le=100)] = 4
    """Fewest stations of an event."""
    min_picks: Annotated[int, Field(ge=4, le=500)] | None = None
    """Fewest picks of an event; by default derived from the network and the pick rate."""
    min_p_picks: Annotated[int, Field(ge=0, le=100)] = 3
    """Fewest P picks of an event."""
    min_s_picks: Annotated[int, Field(ge=0, le=100)] = 2
    """Fewest S picks of an event; with P at ten stations none is needed."""
    tolerance_s: Annotated[float, Field(gt=0, le=10)] | None = None
    """Largest residual of a pick; by default derived from the network's size."""
    max_distance_km: Annotated[float, Field(gt=0, le=2000)] | None = None
    """Stations farther than this from an event are not used; by default the region decides."""


class Schedule(Section):
    """When the flows run once deployed; the Prefect UI may change it afterwards."""

    monitor_every_s: Annotated[int, Field(ge=30, le=86_400)] = 300
    """Seconds between near-real-time cycles."""
    lookback_s: Annotated[int, Field(ge=60, le=604_800)] = 1800
    """How far back a first near-real-time cycle reaches, and how much it asks for again."""
    daily_at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "02:00"
    """UTC time of the daily run over yesterday, as "HH:MM" in quotes."""
    retrain_every_s: Annotated[int, Field(ge=3600, le=31_536_000)] = 604_800
    """Seconds between retrainings of the picker; a week by default."""


class Alerts(Section):
    """Which events are told, what else is, and to whom; everything told is logged too.

    An event that meets the rule is told once, again when it changes, and again when it is
    withdrawn or rejected.
    """

    min_magnitude: float | None = None
    """Smallest magnitude told; every event, also one without magnitude, by default."""
    min_stations: Annotated[int, Field(ge=3)] = 6
    """Fewest stations of an event told."""
    max_gap_deg: Annotated[float, Field(gt=0, le=360)] | None = None
    """Largest azimuthal gap of an event told, degrees; any by default."""
    min_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """Least probability of being real of an event told; any by default."""
    max_age_h: Annotated[float, Field(gt=0)] = 24.0
    """Events found later than this after they happened are not told, hours."""
    update_magnitude: Annotated[float, Field(gt=0)] = 0.3
    """Change of magnitude that is told as an update."""
    update_km: Annotated[float, Field(gt=0)] = 10.0
    """Change of epicentre that is told as an update, kilometres."""
    silent_after_s: Annotated[int, Field(ge=60)] | None = 7200
    """A station whose newest sample is older is told as silent, and told when it is back; null
    tells neither."""
    webhook_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+\S*$")] | None = None
    """Address, https://…, where everything told is sent as JSON by HTTP POST; one that is secret
    itself belongs into GEOMON_ALERTS__WEBHOOK_URL."""
    email_to: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = ()
    """Addresses, user@host, that get everything told by e-mail; user and password of the mail
    server come from GEOMON_SMTP_USER and GEOMON_SMTP_PASSWORD, and are sent encrypted."""
    email_from: str = "geomon@localhost"
    """Sender of the e-mails."""
    smtp_host: str = "localhost"
    """Mail server."""
    smtp_port: Annotated[int, Field(ge=1, le=65_535)] = 25
    """Port of the mail server."""


class Compute(Section):
    """Where the work is done."""

    workers: Annotated[int, Field(ge=1, le=1024)] = 2
    """Station-days fetched and written at once on this machine."""
    dask_scheduler: str | None = None
    """Dask scheduler to use instead of this machine: its address, for example tcp://head:8786, or
    the .json file that ``dask scheduler --scheduler-file`` wrote."""
    dask_picking: Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")] | None = None
    """What a Dask worker must offer to pick, for example GPU when some were started with
    ``--resources GPU=1``; any worker picks by default."""
    cost_per_hour: Annotated[float, Field(ge=0)] = 0.0
    """What an hour of work costs, in any currency; a backfill's plan quotes it."""
    cost_per_gb: Annotated[float, Field(ge=0)] = 0.0
    """What a gigabyte fetched costs, in the same currency."""


class Config(BaseSettings):
    """One network: where its data come from, where they go, and how events are found."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="GEOMON_", env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )  # fmt: skip

    network: Network
    """The stations watched, and the area they watch."""
    source: Source
    """Where waveforms come from."""
    archive: Archive = Archive()
    """Where waveforms are kept."""
    catalog: Catalog = Catalog()
    """Where events, picks and coverage are kept."""
    picker: PickerSettings = PickerSettings()
    """The phase picker."""
    association: Association = Association()
    """How picks are grouped into events."""
    velocity: Velocity = Velocity()
    """The velocity model."""
    magnitude: MagnitudeSettings = MagnitudeSettings()
    """Local magnitude."""
    schedule: Schedule = Schedule()
    """When the flows run."""
    alerts: Alerts = Alerts()
    """Which events are told, and to whom."""
    compute: Compute = Compute()
    """Where the work is done."""
    server: Server = Server()
    """The web services: who may read restricted data, who may change events."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file; read nothing else."""
        return env_settings, init_settings

    def version(self, *sections: str) -> str:
        """Hash of some sections: what a result derived from them depends on."""
        dump = self.model_dump_json(include=set(sections))
        return hashlib.sha256(dump.encode()).hexdigest()[:16]


def find_config(name: str) -> Path:
    """Find a config file by path, or by name among the ones shipped with geomon.

    Raises
    ------
    ConfigError
        If there is no such file.
    """
    path = Path(name)
    candidates = [path]
    if len(path.parts) == 1 or path.parts[0] == "configs":
        bare = path.name if path.suffix else f"{path.name}.yaml"
        candidates += [folder / bare for folder in (_CHECKOUT, _PACKAGED)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    shipped = sorted(p.stem for folder in (_CHECKOUT, _PACKAGED) for p in folder.glob("*.yaml"))
    msg = f"{name}: no such config file; shipped are {', '.join(dict.fromkeys(shipped))}"
    raise ConfigError(msg)


def load_config(path: Path) -> Config:
    """Read, check and resolve one config file.

    Raises
    ------
    ConfigError
        If the file is not YAML, or any key or value is not allowed; the message names the key,
        the value and what is allowed, on one line.
    """
    content = read_sections(path)
    if unknown := [key for key in content if key not in Config.model_fields]:
        raise ConfigError(f"{path}: {unknown_key(unknown[0], Config.model_fields)}")
    check_environment(Config.model_fields)
    if _holds_password(content.get("catalog")):
        msg = (
            f"{path}: catalog.url holds a password; take it out, and set GEOMON_CATALOG__URL or "
            "PGPASSWORD in the environment"
        )
        raise ConfigError(msg)
    try:
        config = Config(**content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {one_line(error, Config)}") from error
    except SettingsError as error:
        msg = (
            f"the environment: {error}; set single keys, such as GEOMON_ARCHIVE__URL, lists as JSON"
        )
        raise ConfigError(msg) from error
    given = config.velocity
    if not (given.name or given.file or given.layers or given.grid):
        logger.warning(
            "%s: no velocity model given: the %s crust stands in, and depths may be off by "
            "kilometres; set velocity.file or velocity.layers", path, IASP91.name,
        )  # fmt: skip
    try:
        return _resolved(config, path.parent)
    except DataError as error:
        raise ConfigError(f"{path}: velocity: {error}") from error


def _holds_password(section: object) -> bool:
    url = section.get("url") if isinstance(section, dict) else None
    return isinstance(url, str) and bool(re.match(r"[^/]*://[^/@]*:[^/@]+@", url))


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of a config file."""
    return Config.model_json_schema()


def _resolved(config: Config, folder: Path) -> Config:
    def under(path: Path | str) -> Path:
        return Path(os.path.abspath(folder / Path(path).expanduser()))  # noqa: PTH100 - keep links

    changes: dict[str, Any] = {}
    if config.network.stations is not None:
        changes["network"] = config.network.model_copy(
            update={"stations": under(config.network.stations)}
        )
    if config.server.users is not None:
        changes["server"] = config.server.model_copy(update={"users": under(config.server.users)})
    if isinstance(config.source, FilesSource):
        changes["source"] = config.source.model_copy(
            update={"paths": tuple(under(path) for path in config.source.paths)}
        )
    if isinstance(config.source, SeedLinkSource):
        changes["source"] = config.source.model_copy(update={"state": under(config.source.state)})
    if config.velocity.file is not None:
        # The layers take the file's place, so that results name what they were made with.
        file = under(config.velocity.file)
        model = config.velocity.model_copy(update={"file": file}).model()
        changes["velocity"] = Velocity.of(model)
    if config.velocity.grid is not None:
        found = config.velocity.model_copy(update={"grid": under(config.velocity.grid)})
        if (grid := found.three_dimensional()) is not None:
            mean = Velocity.of(grid.profile())
            changes["velocity"] = found.model_copy(
                update={"name": mean.name, "layers": mean.layers, "grid_version": grid.version}
            )
    if config.velocity.station_corrections is not None:
        named = {"station_corrections": under(config.velocity.station_corrections)}
        velocity = changes.get("velocity", config.velocity).model_copy(update=named)
        changes["velocity"] = velocity.model_copy(
            update={"station_corrections_version": velocity.corrections().version}
        )
    scheduler = config.compute.dask_scheduler or ""
    if scheduler.endswith(".json"):
        changes["compute"] = config.compute.model_copy(
            update={"dask_scheduler": str(under(scheduler))}
        )
    if "://" not in config.archive.url:
        changes["archive"] = Archive(url=str(under(config.archive.url)))
    prefix = "sqlite:///"
    if config.catalog.url.startswith(prefix):
        path = under(config.catalog.url.removeprefix(prefix))
        changes["catalog"] = Catalog(url=f"{prefix}{path}")
    if "/" in config.picker.name or config.picker.name.startswith("."):
        changes["picker"] = config.picker.model_copy(
            update={"name": str(under(config.picker.name))}
        )
    return config.model_copy(update=changes)
