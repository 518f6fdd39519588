"""Write seisbench_phasenet.json: what SeisBench's own PhaseNet makes of random weights and noise.

Run as ``python -m tests.picking.data.capture_seisbench``; needs the environment of
`tests.benchmarks.seisbench`. Every 25th sample of the window is kept.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks.seisbench import REQUIREMENTS, run_seisbench, seisbench_python
from tests.picking.seisbench_files import random_state

STEP = 25
REFERENCE = Path(__file__).with_name("seisbench_phasenet.json")
FORWARD = """
import sys
import numpy as np, torch
from seisbench.models import PhaseNet
with np.load(sys.argv[1]) as file:
    state = {name: torch.from_numpy(file[name]) for name in file.files}
waveforms = state.pop("waveforms")
model = PhaseNet(phases="NPS")
model.load_state_dict(state)
model.eval()
with torch.no_grad():
    np.save(sys.argv[2], model(waveforms.transpose(1, 2)).transpose(1, 2).numpy())
"""


def noise() -> np.ndarray:
    """The window, shape (1, 3001, 3)."""
    return np.random.default_rng(11).normal(size=(1, 3001, 3)).astype(np.float32)


def main() -> None:
    """Capture the reference."""
    seisbench_python()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.npz"), Path(folder, "out.npy")
        np.savez(source, waveforms=noise(), **random_state())
        run_seisbench(FORWARD, str(source), str(target))
        curves = np.load(target)[0, ::STEP]
    rows = [[float(f"{value:.8g}") for value in row] for row in curves]
    content = {"made_with": list(REQUIREMENTS), "step": STEP, "probabilities": rows}
    REFERENCE.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
