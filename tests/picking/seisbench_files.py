"""Files as SeisBench saves a PhaseNet, written without PyTorch and with random weights."""

import json
import struct
import zipfile
from pathlib import Path

import numpy as np

NAMES = {np.dtype("<f4"): b"FloatStorage", np.dtype("<i8"): b"LongStorage"}


def random_state(seed: int = 5) -> dict[str, np.ndarray]:
    """A state dictionary of PhaseNet's shapes, in PyTorch's order of axes."""
    rng = np.random.default_rng(seed)
    state: dict[str, np.ndarray] = {}

    def convolution(name: str, *shape: int, bias: bool = False) -> None:
        spread = np.sqrt(2 / (shape[1] * shape[2]))
        state[f"{name}.weight"] = rng.normal(0, spread, shape).astype("<f4")
        if bias:
            state[f"{name}.bias"] = rng.normal(0, 0.1, shape[0]).astype("<f4")

    def normalisation(name: str, n: int) -> None:
        state[f"{name}.weight"] = rng.uniform(0.8, 1.6, n).astype("<f4")
        state[f"{name}.bias"] = rng.normal(0, 0.2, n).astype("<f4")
        state[f"{name}.running_mean"] = rng.normal(0, 0.2, n).astype("<f4")
        state[f"{name}.running_var"] = rng.uniform(0.8, 1.6, n).astype("<f4")
        state[f"{name}.num_batches_tracked"] = np.array(7, dtype="<i8")

    convolution("inc", 8, 3, 7, bias=True)
    normalisation("in_bn", 8)
    last = 8
    for level in range(5):
        n = 8 * 2**level
        convolution(f"down_branch.{level}.0", n, last, 7)
        normalisation(f"down_branch.{level}.1", n)
        if level < 4:
            convolution(f"down_branch.{level}.2", n, n, 7)
            normalisation(f"down_branch.{level}.3", n)
        last = n
    for step in range(4):
        n = 8 * 2 ** (3 - step)
        convolution(f"up_branch.{step}.0", last, n, 7)
        normalisation(f"up_branch.{step}.1", n)
        convolution(f"up_branch.{step}.2", n, 2 * n, 7)
        normalisation(f"up_branch.{step}.3", n)
        last = n
    convolution("out", 3, 8, 1, bias=True)
    return state


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def tensor(key: int, array: np.ndarray) -> bytes:
    """The pickle operations by which ``torch.save`` describes one array."""
    strides = [stride // array.itemsize for stride in array.strides]
    shapes = b"".join(b"(" + b"".join(map(number, one)) + b"t" for one in (array.shape, strides))
    storage = (
        b"(" + text("storage") + b"ctorch\n" + NAMES[array.dtype] + b"\n" + text(str(key))
        + text("cpu") + number(array.size) + b"tQ"
    )  # fmt: skip
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(0) + shapes
    return call + b"\x89" + b"ccollections\nOrderedDict\n)RtR"


def write_pt(path: Path, state: dict[str, np.ndarray], *, program: bytes | None = None) -> None:
    """Write a state dictionary; `program` takes the place of its pickle."""
    items = b"".join(text(name) + tensor(k, a) for k, (name, a) in enumerate(state.items()))
    whole = b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", whole if program is None else program)
        archive.writestr("archive/byteorder", b"little")
        for key, array in enumerate(state.values()):
            archive.writestr(f"archive/data/{key}", array.tobytes())


def write_json(path: Path, **arguments: object) -> None:
    """Write the description that belongs to the weights."""
    known = {"phases": "NPS", "norm": "std", "component_order": "ZNE", "sampling_rate": 100}
    content = {
        "docstring": "Random weights.",
        "model_args": {**known, "in_channels": 3, "classes": 3, **arguments},
        "default_args": {"P_threshold": 0.4},
    }
    path.write_text(json.dumps(content), encoding="utf-8")
