"""From a configuration to the source it describes."""

from geomon.config import Config, FdsnSource, FilesSource, OpenDataSource, SeedLinkSource
from geomon.sources.base import WaveformSource


def open_source(config: Config) -> WaveformSource:
    """Open the waveform source of a network; nothing is asked for yet.

    Raises
    ------
    ConfigError
        If the configuration names what does not exist or is not enough.
    StationMetadataError
        If the network's station file cannot be read.
    """
    settings = config.source
    if isinstance(settings, FdsnSource):
        from geomon.sources import fdsn

        return fdsn.FdsnSource(settings, config.network)
    if isinstance(settings, FilesSource):
        from geomon.sources import files

        return files.FilesSource(settings, config.network)
    if isinstance(settings, OpenDataSource):
        from geomon.sources import opendata

        return opendata.OpenDataSource(settings, config.network)
    if isinstance(settings, SeedLinkSource):
        from geomon.sources import seedlink

        return seedlink.SeedLinkSource(settings, config.network)
    from geomon.sources import simulated

    return simulated.SimulatedSource(settings, config.velocity.model(), config.network)
