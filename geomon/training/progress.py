"""How training goes, in the files that TensorBoard shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class ScalarLog(Protocol):
    """Writes numbers by name."""

    def __call__(self, step: int, **values: float) -> None:
        """Write the values of one step."""


@contextmanager
def scalar_log(folder: Path) -> Iterator[ScalarLog]:
    """Open an event file in `folder`; needs TensorFlow to write, TensorBoard only to look at.

    Yields
    ------
    ScalarLog
        Function that writes numbers of one step.
    """
    import tensorflow as tf

    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    )
    writer = tf.summary.create_file_writer(str(folder))

    def write(step: int, **values: float) -> None:
        with writer.as_default():
            for name, value in values.items():
                tf.summary.write(name, tf.constant(value), step=step, metadata=metadata)
        writer.flush()

    try:
        yield write
    finally:
        writer.close()
