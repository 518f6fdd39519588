"""Keras, imported late and quietly."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_IMPORTING = threading.Lock()  # another thread must not get a half-imported module
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

    TensorFlow computes each operation on one thread: with several, the last bits of its results
    depend on how many there are, and picks must not. Work is spread over processes instead.
    ``GEOMON_THREADS`` overrides this, for training. It has no effect if something else in the
    process has started TensorFlow before.
    """
    with _IMPORTING:
        if "keras" not in sys.modules:
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            with _without_chatter():
                if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
                    _import_tensorflow()
                import keras

                if keras.backend.backend() == "tensorflow":
                    _start_tensorflow(os.environ.get("GEOMON_THREADS", "1"))
    return sys.modules["keras"]


def _import_tensorflow() -> None:
    """Import TensorFlow without JAX, which it would import too where installed: a fifth slower."""
    hidden = "jax" not in sys.modules
    if hidden:
        sys.modules["jax"] = None  # type: ignore[assignment]
    try:
        import tensorflow  # noqa: F401
    finally:
        if hidden:
            del sys.modules["jax"]


def _start_tensorflow(threads: str) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(int(threads))
        tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    except (RuntimeError, ValueError):
        # Running already, or no number: TensorFlow keeps the threads it has.
        return
    tf.zeros(1)
