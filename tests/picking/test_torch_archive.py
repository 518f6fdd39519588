"""PyTorch files read as data: what a pickle could do, it cannot do here."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from geomon.errors import PickerMismatch
from geomon.picking.importers.torch_archive import read_tensors
from tests.picking.seisbench_files import number, tensor, text, write_pt

STATE = {"a.weight": np.arange(12, dtype="<f4").reshape(3, 4), "n": np.array(7, dtype="<i8")}
HEAD = b"\x80\x02ccollections\nOrderedDict\n)R"


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_tensors_come_back(tmp_path: Path) -> None:
    write_pt(tmp_path / "x.pt", STATE)
    tensors = read_tensors(tmp_path / "x.pt")
    assert tensors.keys() == STATE.keys()
    assert all(np.array_equal(tensors[name], array) for name, array in STATE.items())
    assert tensors["n"].shape == ()


@pytest.mark.fault(49, 50)
@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_a_malicious_pickle_is_refused(tmp_path: Path, protocol: int) -> None:
    victim = tmp_path / "victim"
    program = pickle.dumps({"a.weight": Touch(victim)}, protocol)
    pickle.loads(program)
    assert victim.exists()
    victim.unlink()
    write_pt(tmp_path / "x.pt", STATE, program=program)
    with pytest.raises(PickerMismatch, match=r"x\.pt: not a PyTorch state dictionary"):
        read_tensors(tmp_path / "x.pt")
    assert not victim.exists()


@pytest.mark.fault(50)
@pytest.mark.parametrize(
    ("program", "says"),
    [
        (b"cos\nsystem\n(X\x04\x00\x00\x00truetR.", "it names os.system"),
        (b"cbuiltins\neval\n.", "it names builtins.eval"),
        (b"ctorch\nload\n.", "it names torch.load"),
        (b"ccollections\nOrderedDict.__class__\n.", "it names"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "more than list tensors"),
        (b"(ios\nsystem\n.", "more than list tensors"),
        (b"ccollections\nOrderedDict\n)\x81.", "more than list tensors"),
        (b"\x82\x01.", "more than list tensors"),
        (HEAD + text("a") + b"ccollections\nOrderedDict\n" + number(3) + b"\x85Rs.", "calls"),
        (HEAD + text("a") + number(3) + b"s.", "more than named tensors"),
        (HEAD + b"(" + text("a") + b"u.", "zip"),
        (HEAD, "not a PyTorch state dictionary"),
        (b".", "not a PyTorch state dictionary"),
        (b"no pickle", "not a PyTorch state dictionary"),
        (number(1) + text("a") + number(2) + b"s.", "what is no dictionary"),
    ],
)
def test_other_programs_are_refused(tmp_path: Path, program: bytes, says: str) -> None:
    write_pt(tmp_path / "x.pt", STATE, program=program)
    with pytest.raises(PickerMismatch, match=says):
        read_tensors(tmp_path / "x.pt")


def test_arrays_that_are_not_there_in_full(tmp_path: Path) -> None:
    name, array = "a", np.zeros(10**6, dtype="<f4")
    program = HEAD + text(name) + tensor(0, array) + b"s."
    write_pt(tmp_path / "x.pt", STATE, program=program)
    with pytest.raises(PickerMismatch, match="its array 0 has 48 bytes for 1000000 numbers"):
        read_tensors(tmp_path / "x.pt")
    program = HEAD + text(name) + tensor(0, array).replace(text("0"), text("../../x")) + b"s."
    write_pt(tmp_path / "x.pt", STATE, program=program)
    with pytest.raises(PickerMismatch, match="which is no storage"):
        read_tensors(tmp_path / "x.pt")


def test_views_are_refused(tmp_path: Path) -> None:
    program = HEAD + text("a") + tensor(0, STATE["a.weight"].T) + b"s."
    write_pt(tmp_path / "x.pt", STATE, program=program)
    with pytest.raises(PickerMismatch, match=r"shape \(4, 3\) that is not stored in order"):
        read_tensors(tmp_path / "x.pt")


def test_not_an_archive_of_pytorch(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(pickle.dumps(STATE))
    with pytest.raises(PickerMismatch, match="not a zip file"):
        read_tensors(tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("model.py", "")
    with pytest.raises(PickerMismatch, match=r"it holds 0 files data\.pkl"):
        read_tensors(tmp_path / "x.pt")
    with pytest.raises(PickerMismatch, match="cannot be read"):
        read_tensors(tmp_path / "none.pt")
