"""geomon: from continuous seismic waveforms to an earthquake catalogue people can trust."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from geomon.config import Config
    from geomon.services.workspace import Workspace


def open(config: "Config | str | Path") -> "Workspace":
    """Open a network's archive, catalogue and coverage.

    Parameters
    ----------
    config : Config, str or Path
        A config, its file, or the name of a shipped one.

    Raises
    ------
    ConfigError
        If the config cannot be found or used.

    Examples
    --------
    >>> import geomon
    >>> network = geomon.open("demo")  # doctest: +SKIP
    >>> network.catalog.events(min_magnitude=1.0).to_pandas()  # doctest: +SKIP
    """
    from geomon.services.workspace import open_config

    return open_config(config)


__all__: list[Any] = ["open"]
