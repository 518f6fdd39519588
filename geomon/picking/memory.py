"""Networks for which memory runs out are given less at a time."""

import logging

import numpy as np
from numpy.typing import NDArray

from geomon.errors import OutOfMemory
from geomon.picking.windows import Network

logger = logging.getLogger(__name__)

# What TensorFlow, JAX, CUDA and ONNX Runtime say; each raises an error of its own.
_WORDS = ("RESOURCE_EXHAUSTED", "OOM when allocating", "out of memory", "bad_alloc", "to allocate")


class Halving:
    """A network that computes half as much at once whenever memory runs out, and from then on.

    Curves differ by rounding from those of a larger batch.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._most: int | None = None

    def __call__(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network, in as many parts as needed.

        Raises
        ------
        OutOfMemory
            If there is no room for one waveform.
        """
        while True:
            most = min(self._most or len(waveforms), len(waveforms))
            begins = range(0, len(waveforms), most)
            try:
                parts = [self._network(waveforms[begin : begin + most]) for begin in begins]
            except Exception as error:
                if not _is_out_of_memory(error):
                    raise
                if most == 1:
                    msg = f"memory runs out with one piece of {waveforms.shape[1]} samples"
                    raise OutOfMemory(msg) from error
                self._most = most // 2
                logger.warning("memory runs out with %d pieces: %d at once now", most, self._most)
                continue
            return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _is_out_of_memory(error: Exception) -> bool:
    """Say whether an error of some backend means that memory ran out."""
    name = type(error).__name__
    return (
        isinstance(error, MemoryError)
        or name == "ResourceExhaustedError"
        or any(words in str(error) for words in _WORDS)
    )
