"""Keras, imported late and quietly."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_IMPORTING = threading.Lock()  # another thread must not get a half-imported module
_UNNEEDED = ("matplotlib", "pandas")  # TensorFlow and Keras import them where installed
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


class _Hidden(MetaPathFinder):
    """Hides modules not imported yet from the thread that made it, and from no other."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._thread = names, threading.get_ident()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - as the import system calls it
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Say that a hidden module is not there, and nothing of any other.

        Raises
        ------
        ModuleNotFoundError
            If it is hidden.
        """
        if fullname in self._names and threading.get_ident() == self._thread:
            msg = f"No module named {fullname!r}"
            raise ModuleNotFoundError(msg, name=fullname)
        return None


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Import without some modules: all that nobody uses would take a third of the time."""
    finder = _Hidden(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


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
                    with _without("jax", *_UNNEEDED):
                        import tensorflow  # noqa: F401
                with _without(*_UNNEEDED):
                    import keras

                if keras.backend.backend() == "tensorflow":
                    _start_tensorflow(os.environ.get("GEOMON_THREADS", "1"))
    return sys.modules["keras"]


def _start_tensorflow(threads: str) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(int(threads))
        tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    except (RuntimeError, ValueError):
        # Running already, or no number: TensorFlow keeps the threads it has.
        return
    tf.zeros(1)
