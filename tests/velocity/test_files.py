"""The same model from every format, and a clear word where a file is wrong."""

from pathlib import Path

import numpy as np
import pytest

from geomon.errors import DataError
from geomon.velocity import LayeredModel
from geomon.velocity.files import read_model

BLOCKS = LayeredModel("blocks", (-1.0, 2.0, 30.0), (5.0, 6.0, 8.0), (2.9, 3.4, 4.5))
SAME_BLOCKS = {
    "yaml": """\
layers:
  - {top_km: -1, vp_km_s: 5, vs_km_s: 2.9}
  - {top_km: 2, vp_km_s: 6, vs_km_s: 3.4}
  - {top_km: 30, vp_km_s: 8, vs_km_s: 4.5}
""",
    "csv": "top_km,vp_km_s,vs_km_s\n-1,5,2.9\n2,6,3.4\n30,8,4.5\n",
    "nd": "-1 5 2.9 2.6\n2 5 2.9 2.6\n2 6 3.4 2.7\n30 6 3.4 2.7\nmantle\n30 8 4.5 3.3\n"
    "60 8 4.5 3.3\nouter-core\n60 8 0 9.9\n90 8 0 9.9\n",
    "tvel": "blocks - P\nblocks - S\n-1 5 2.9 2.6\n2 5 2.9 2.6\n2 6 3.4 2.7\n30 6 3.4 2.7\n"
    "30 8 4.5 3.3\n60 8 4.5 3.3\n",
    "mod": " a title\n 3   vel,depth,vdamp,phase\n 5.00  -1.0  1.0  P\n 6.00  2.0  1.0\n"
    " 8.00 30.0  1.0\n 3\n 2.90  -1.0  1.0  S\n 3.40  2.0  1.0\n 4.50 30.0  1.0\n",
    "in": "CONTROL 1 54321\nTRANS SIMPLE 40 15 0\nLAYER -1.0 5.0 0.0 2.9 0.0 2.6 0.0\n"
    "LAYER 2.0 6.0 0.0 3.4 0.0 2.7 0.0\nLAYER 30.0 8.0 0.0 4.5 0.0 3.3 0.0\n",
}


@pytest.mark.parametrize(
    ("extension", "named"),
    # Two titles and numbers, as in a .tvel, are no sign of their own.
    [
        *((one, True) for one in SAME_BLOCKS),
        *((one, False) for one in SAME_BLOCKS if one != "tvel"),
    ],
)
def test_every_format_gives_the_same_model(tmp_path: Path, extension: str, named: bool) -> None:
    path = tmp_path / f"blocks.{extension if named else 'dat'}"
    path.write_text(SAME_BLOCKS[extension])
    model = read_model(path)
    depths = np.linspace(-2, 59, 200)
    for phase in ("P", "S"):
        np.testing.assert_allclose(model.speed_at(depths, phase), BLOCKS.speed_at(depths, phase))
    assert model.name == "blocks"


def test_points_are_joined_by_straight_lines(tmp_path: Path) -> None:
    path = tmp_path / "gradient.csv"
    path.write_text("depth,vp,vs\n0,5,2.8\n10,6,3.4\n30,7,4.0\n")
    model = read_model(path)
    np.testing.assert_allclose(model.speed_at([-5, 0, 5, 20, 99], "P"), [5, 5, 5.5, 6.5, 7])
    np.testing.assert_allclose(model.speed_at([5, 20], "S"), [3.1, 3.7])
    steps = model.in_steps(0.5)
    assert not steps.has_gradients
    assert np.abs(steps.speed_at([3.3, 17.7], "P") / model.speed_at([3.3, 17.7], "P") - 1).max() < (
        0.006
    )
    assert model.version != LayeredModel("x", (0.0, 10.0, 30.0), (5, 6, 7), (2.8, 3.4, 4)).version


def test_hypoinverse_takes_s_from_the_ratio(tmp_path: Path) -> None:
    path = tmp_path / "crust.crh"
    path.write_text("A CRUST\n5.00 0.00\n6.20 4.00\n")
    assert read_model(path, vp_vs=1.73).vs_km_s == (5 / 1.73, 6.2 / 1.73)
    with pytest.raises(DataError, match=r"crust\.crh:2: no S speed; give vs, or set velocity\.vp_"):
        read_model(path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.nd", "0 5 2.9\n10 6 x\n", "a.nd:2: .*expected depth"),
        ("a.nd", "0 5 2.9\n10 6\n", "a.nd:2: 2 numbers; expected depth"),
        ("a.nd", "0 1.5 0\n3 5 2.9\n9 6 3.4\n", "a.nd:1: S speed is 0 on top"),
        ("a.nd", "0 5 2.9\n10 6 3.4\n8 7 4\n", "a.nd:3: depth 8.0 km lies above 10.0 km"),
        ("a.csv", "depth_m,v\n0,5\n", "a.csv:1: columns are depth_m, v; expected top_km"),
        ("a.csv", "top_km,vp_km_s\n0,5,3\n", "a.csv:2: 3 values under 2 columns"),
        ("a.csv", "top_km,vp_km_s,vs_km_s\n0,5000,2900\n", "a.csv:2: vp 5000 .*in km/s?"),
        ("a.csv", "top_km,vp_km_s,vs_km_s\n5,5,3\n0,6,3.5\n", "a.csv:3: top 0 km is not below"),
        ("a.csv", "depth,vp,vs\n0,5,\n", "a.csv:2: depth, vp or vs is empty"),
        ("a.mod", "title\n3\n5.0 0.0\n6.0 2.0\n", "a.mod:2: announces 3 layers, but 2 follow"),
        ("a.yaml", "layers:\n  - {top_km: 0, vp: 5}\n", "a.yaml:2: vp: a layer has top_km"),
        ("a.yaml", "layers: 5\n", "a.yaml: expected layers: a list"),
        ("a.txt", "LAYER 0 5 0\n", "a.txt:1: 3 numbers; expected LAYER depth"),
        ("a.in", "LAYER 0 5 0.1 3 0.05\n", "a.in: .*the last layer has no bottom"),
        ("a.txt", "once upon a time\n", "a.txt: not a velocity model in a format geomon knows"),
        ("a.crh", "", "a.crh: holds no layer"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_line_and_remedy(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words.replace("?", r"\?")):
        read_model(tmp_path / name)


def test_real_files_are_read(shared_data: Path) -> None:
    nd = read_model(shared_data / "phasepapy_ok/examples/data_20130616153750/Oklahoma.nd")
    assert nd.has_gradients
    assert nd.speed_at(0.65, "P") == pytest.approx((2.95 + 4.15) / 2)
    mod = read_model(shared_data / "real_italy_picks/demo_real/VELEST/italy.mod")
    assert mod.tops_km[0] == -3
    assert mod.speed_at(22, "S") == 3.5
