"""Keras, imported late and quietly."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CHATTER = ("WARNING: All log messages before absl", "I0000 ", "To enable the following")


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep TensorFlow's start-up remarks, written past Python, off the error stream.

    Anything else written meanwhile appears afterwards.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            for line in file.read().decode(errors="replace").splitlines(keepends=True):
                if not line.startswith(_CHATTER):
                    sys.stderr.write(line)


def load_keras() -> Any:  # noqa: ANN401 - the module
    """Import Keras (seconds, hundreds of megabytes) and return it.

    ``GEOMON_THREADS`` limits TensorFlow's threads in this process; set it where several workers
    share a machine. It counts only if nothing else has started TensorFlow.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _without_chatter():
        import keras

        if keras.backend.backend() == "tensorflow":
            _start_tensorflow(os.environ.get("GEOMON_THREADS", ""))
    return keras


def _start_tensorflow(threads: str) -> None:
    import tensorflow as tf

    if threads.isdecimal():
        try:
            tf.config.threading.set_intra_op_parallelism_threads(int(threads))
            tf.config.threading.set_inter_op_parallelism_threads(int(threads))
        except RuntimeError:
            # TensorFlow is running already; its threads are what they are.
            return
    tf.zeros(1)
