"""One batch on one device, or shared out among several: the same training either way."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomon.picking.backend import load_keras
from geomon.picking.run_keras import gpus


class Devices:
    """Where a network is trained.

    Each of several devices holds the network and computes its part of every batch; gradients and
    the statistics of batch normalisation are taken over all parts, so that the weights are the
    same on all, and but for rounding those that one device would learn. Where a gradient is
    clipped, TensorFlow clips each part's.

    Backends of Keras share out by TensorFlow's ``MirroredStrategy`` or, with JAX, by
    ``keras.distribution.DataParallel``; others use one device.

    Parameters
    ----------
    batch_size : int
        Windows in a batch: as many devices are used as get equal parts.
    names : sequence, optional
        Devices as the backend names them; all GPUs by default. With one or none nothing is shared
        out.
    """

    def __init__(self, batch_size: int, names: Sequence[Any] | None = None) -> None:
        keras = load_keras()
        backend = keras.backend.backend()
        names = gpus() if names is None else names
        self.count = next((n for n in range(len(names), 1, -1) if batch_size % n == 0), 1)
        self._mirrored: Any = None
        self._parallel: Any = None
        if self.count > 1 and backend == "tensorflow":
            import tensorflow as tf

            self._mirrored = tf.distribute.MirroredStrategy(list(names)[: self.count])
        elif self.count > 1 and backend == "jax":
            self._parallel = keras.distribution.DataParallel(devices=list(names)[: self.count])
        else:
            self.count = 1

    def holding(self) -> AbstractContextManager[Any]:
        """Return a context in which networks are made, compiled and read for all devices."""
        spread = self._mirrored or self._parallel
        return nullcontext() if spread is None else spread.scope()

    def joined(self, model: Any) -> Any:  # noqa: ANN401 - of Keras
        """Return a compiled network, whose batch normalisation sees the whole batch from now on.

        Kept networks remember what they were trained on, which need not be what is here today.
        """
        for layer in model.layers:
            if hasattr(layer, "synchronized"):
                # With JAX it does so anyway.
                layer.synchronized = self._mirrored is not None
        if self._mirrored is not None:
            # Keras cannot build the loss from a batch in parts: they have no shape.
            one = np.ones((1, 1, model.output_shape[-1]), np.float32)
            model.compute_loss(y=one, y_pred=one)
        return model

    def shared(self, *batch: NDArray[Any]) -> tuple[Any, ...]:
        """Share the rows of a batch out among the devices."""
        if self._mirrored is not None:
            return tuple(self._mirrored_rows(values) for values in batch)
        if self._parallel is not None:
            layouts = (self._parallel.get_data_layout(values.shape) for values in batch)
            distribute = load_keras().distribution.distribute_tensor
            return tuple(map(distribute, batch, layouts))
        return batch

    def _mirrored_rows(self, values: NDArray[Any]) -> Any:  # noqa: ANN401 - of TensorFlow
        import tensorflow as tf

        parts = np.split(values, self.count)
        return self._mirrored.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )
