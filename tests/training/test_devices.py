"""Training on two devices is training on one: from nothing and from a champion, by each backend."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

_ON_TWO = """
import json, os, sys
from pathlib import Path
if os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    both = ["/device:CPU:0", "/device:CPU:1"]
else:
    import jax
    both = jax.devices("cpu")
    assert len(both) == 2
from geomon.picking.architecture import unet
from geomon.training import fit as fitting
from geomon.training.finetune import FinetuneRecipe, Lessons, finetune
from tests.training.conftest import recording

fitting._STEPS_AN_EPOCH = 2
fitting.unet = lambda **settings: unet(root=2, depth=2, **settings)
recipe = fitting.TrainingRecipe(name="tiny", steps=2, batch_size=4, n_events=8, n_noise=4)
card = fitting.draft_card(recipe)
material = fitting.Material((recording(True),), (), (), ())
lessons = Lessons((recording(True),), (recording(True),), (), sha256="x")
short = FinetuneRecipe(
    epochs=1, steps_an_epoch=2, batch_size=4, n_events=8, n_noise=4, distillation=0.0
)
out, answers = Path(sys.argv[1]), {}
for name, devices in (("one", ()), ("two", both)):
    made = fitting.fit(recipe, card, material, out / f"fit {name}", devices=devices)
    champion = made if name == "one" else champion
    tuned, curve = finetune(champion, short, lessons, out / name, devices=devices)
    answers[name] = {
        "fit": [one.tolist() for one in made.model.get_weights()],
        "finetune": [one.tolist() for one in tuned.model.get_weights()],
        "losses": [epoch.loss for epoch in curve],
    }
_, again = finetune(champion, short, lessons, out / "two", devices=both)  # is over already
assert [epoch.loss for epoch in again] == answers["two"]["losses"]
print(json.dumps(answers))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_several_devices_share_a_batch_and_learn_as_one_does(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}: pip install {backend}")
    settings = {"KERAS_BACKEND": backend, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-c", _ON_TWO, str(tmp_path)],
        capture_output=True, text=True, check=False, env={**os.environ, **settings},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    one, two = answers["one"], answers["two"]
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
    assert two["fit"] != two["finetune"]
    for made in ("fit", "finetune"):
        ours, theirs = (np.concatenate([np.ravel(part) for part in it[made]]) for it in (one, two))
        # The bias before a normalisation has no gradient but rounding, which Adam makes large.
        assert np.isclose(ours, theirs, atol=1e-4).mean() > 0.95
