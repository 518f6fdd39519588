"""One batch on one device, or shared out among several: the same training either way."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from numpy.typing import NDArray

from geomon.picking.backend import load_keras
from geomon.picking.run_keras import gpus


class Devices:
    """Where a network is trained.

    Each of several devices holds the network and computes its part of every batch; gradients are
    averaged, so that the weights stay the same on all (TensorFlow's ``MirroredStrategy``).
    Statistics of batch normalisation are those of a device's part.

    Parameters
    ----------
    batch_size : int
        Windows in a batch: as many devices are used as get equal parts.
    names : sequence of str, optional
        Devices as TensorFlow names them; all GPUs by default. With one or none, and with other
        backends of Keras, nothing is shared out.
    """

    def __init__(self, batch_size: int, names: Sequence[str] | None = None) -> None:
        names = gpus() if names is None else names
        self.count = next((n for n in range(len(names), 1, -1) if batch_size % n == 0), 1)
        self._strategy: Any = None
        if load_keras().backend.backend() != "tensorflow":
            self.count = 1
        elif self.count > 1:
            import tensorflow as tf

            self._strategy = tf.distribute.MirroredStrategy(list(names)[: self.count])

    def holding(self) -> AbstractContextManager[Any]:
        """Return a context in which networks are made, compiled and read for all devices."""
        return nullcontext() if self._strategy is None else self._strategy.scope()

    def shared(self, *batch: NDArray[Any]) -> tuple[Any, ...]:
        """Share the rows of a batch out: each device gets every so manieth."""
        if self._strategy is None:
            return batch
        import tensorflow as tf

        def part(values: NDArray[Any], context: Any) -> Any:  # noqa: ANN401 - of TensorFlow
            return tf.constant(values[context.replica_id_in_sync_group :: self.count])

        return tuple(
            self._strategy.experimental_distribute_values_from_function(
                lambda context, values=values: part(values, context)
            )
            for values in batch
        )
