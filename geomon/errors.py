"""Every error geomon raises on purpose.

::

    GeomonError                    .retryable says whether trying again can help
    ├── ConfigError   (ValueError)   the operator edits the YAML
    ├── SourceError                  a data centre or folder let us down
    │   ├── SourceUnavailable          retryable: refused, timeout, 429, 5xx
    │   └── RequestRejected            400, 401, 403, 413: asking again changes nothing
    ├── DataError     (ValueError)   content arrived and breaks its contract
    │   ├── WaveformError
    │   └── StationMetadataError
    ├── StoreError                   the archive, catalogue or ledger
    │   ├── NotArchived (LookupError)
    │   ├── NotHeld (LookupError)      the catalogue has no such event, pick or change
    │   ├── CorruptObject              a stored object fails its checksum
    │   ├── StoreConflict              retryable: another writer holds it, or it is locked
    │   ├── StoreUnavailable           retryable: a store behind a network does not answer
    │   └── StoreTimeout               a question took longer than it may
    ├── ClusterUnavailable           retryable: the Dask cluster, or what the work needs of it
    ├── OutOfMemory                  retryable: a picker's network does not fit beside all else
    └── PickerMismatch (ValueError)  a picker and its card, or a picker and the data, disagree

Expected outcomes (no data, too few picks) are values, not errors. A message starts with the
thing it is about: a SEED id, a station-day, a file or a config key.
"""


class GeomonError(Exception):
    """Base of every error geomon raises on purpose."""

    retryable = False


class ConfigError(GeomonError, ValueError):
    """A configuration cannot be used as written."""


class SourceError(GeomonError):
    """A waveform or metadata source failed."""


class SourceUnavailable(SourceError):
    """The source did not answer properly; the same request may work later."""

    retryable = True


class RequestRejected(SourceError):
    """The source understood the request and refuses it."""


class ClusterUnavailable(GeomonError):
    """A Dask cluster does not answer, or none of its workers can do the work."""

    retryable = True


class DataError(GeomonError, ValueError):
    """Content arrived and breaks its contract."""


class WaveformError(DataError):
    """Samples, times or rates that cannot be what they claim."""


class StationMetadataError(DataError):
    """Station metadata that contradicts itself or lacks what is needed."""


class StoreError(GeomonError):
    """A store could not do what was asked."""


class NotArchived(StoreError, LookupError):
    """The archive has never held the stream asked for."""


class NotMade(StoreError, LookupError):
    """The archive or catalogue to be read is not there: nothing was ever written to it."""


class NotHeld(StoreError, LookupError):
    """The catalogue holds no such event, pick or change."""


class CorruptObject(StoreError):
    """A stored object fails its checksum or cannot be parsed."""


class StoreConflict(StoreError):
    """Another writer is in the way."""

    retryable = True


class StoreUnavailable(StoreError):
    """A store behind a network does not answer properly; the same may work later."""

    retryable = True


class StoreTimeout(StoreError):
    """A question took longer than whoever asked allows; a narrower one may not."""


class OutOfMemory(GeomonError):
    """Memory runs out with the least a picker can be given; it may not when less else runs."""

    retryable = True


class PickerMismatch(GeomonError, ValueError):
    """A picker does not fit its card, or the data it is asked to read."""
