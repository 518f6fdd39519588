"""Keras comes late, quietly, and with one thread, so that bits do not depend on the machine."""

import os
import subprocess
import sys

PROGRAM = """
import sys
import geomon.picking.infer, geomon.picking.card, geomon.training.fit
assert not {"keras", "tensorflow", "obspy"} & set(sys.modules), "too early"
from geomon.picking.backend import load_keras
keras = load_keras()
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    tf.zeros(3) + 1
    print(tf.config.threading.get_intra_op_parallelism_threads())
"""


def test_keras_is_imported_late_and_quietly() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "GEOMON_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() in {"1", ""}
    assert done.stderr == ""


UNNEEDED = """
import sys
from concurrent.futures import ThreadPoolExecutor
from geomon.picking.backend import load_keras
with ThreadPoolExecutor(1) as other:
    loading = other.submit(load_keras)
    import pandas  # what one thread does without, another may import meanwhile
    loading.result()
print("matplotlib" in sys.modules, pandas.Series([2.0]).sum())
"""


def test_keras_comes_without_what_nobody_uses() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNNEEDED], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False 2.0"
