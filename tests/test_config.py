"""A config is checked before anything runs, and every complaint is one clear line."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from geomon.config import (
    FdsnSource,
    SimulatedSource,
    config_schema,
    find_config,
    load_config,
)
from geomon.errors import ConfigError
from geomon.velocity import AK135, IASP91

GOOD: dict[str, Any] = {
    "network": {"name": "Test"},
    "source": {"kind": "simulated", "seed": 7},
    "archive": {"url": "archive"},
    "catalog": {"url": "sqlite:///catalog.sqlite"},
}


def write(folder: Path, content: object) -> Path:
    path = folder / "network.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def changed(key: str, value: object) -> dict[str, Any]:
    content = copy.deepcopy(GOOD)
    section = content
    *parents, last = key.split(".")
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    return content


def test_relative_paths_resolve_from_the_config_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert config.archive.url == str(tmp_path / "archive")
    assert config.catalog.url == f"sqlite:///{tmp_path}/catalog.sqlite"
    assert isinstance(config.source, SimulatedSource)
    assert config.source.seed == 7


@pytest.mark.fault(59)
@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("netwrok", {}, "'netwrok' is not a key; did you mean 'network'?"),
        ("source.sede", 3, "in source, 'sede' is not a key; did you mean 'seed'?"),
        ("network.nmae", "x", "in network, 'nmae' is not a key; did you mean 'name'?"),
        ("picker.threshold_p", 3, "picker.threshold_p = 3: input should be less than 1"),
        (
            "association.tile_s",
            "ten",
            "association.tile_s = 'ten': input should be a valid integer",
        ),
        ("source.kind", "ftp", "'fdsn', 'files', 'opendata', 'seedlink', 'simulated'"),
        (
            "association.tile_s",
            "10min",
            "unable to parse string as an integer (Length of an association tile, seconds)",
        ),
        ("schedule.daily_at", "25:00", "schedule.daily_at = '25:00'"),
        (
            "schedule.daily_at",
            750,
            "put it in quotes (UTC time of the daily run over yesterday, as",
        ),
        ("source", {"seed": 1}, "source.kind is missing; give one of fdsn, files, opendata"),
        ("source", {"kind": "fdsn", "urls": "GFZ"}, "source.urls = 'GFZ': must be a list"),
        ("network.select", ["XX.A.00.HHZ"], "(Stations to use, as NET.STA with wildcards, for"),
        ("network.name", "", "network.name = '': must not be empty"),
        ("alerts", None, "alerts = None: must hold keys; leave the section out for its defaults"),
        ("alerts.webhook_url", "example.org/hook", "(Address, https://…, where everything told"),
        ("archive.url", "", "archive.url = '': write the path of a folder, or s3://bucket/prefix"),
        ("archive.url", "s3:/bucket", "write the path of a folder, or s3://bucket/prefix"),
        ("catalog.url", "catalog.sqlite", "sqlite:///path/catalog.sqlite or postgresql://"),
        ("catalog.url", "postgresql://me:secret@db/x", "take it out, and set GEOMON_CATALOG__URL"),
        ("schedule.retrain_every_s", 60, "schedule.retrain_every_s = 60"),
        (
            "velocity.layers",
            [{"top_km": 0, "vp_km_s": 3, "vs_km_s": 3.5}],
            "layer at 0.0 km has vp 3 and vs 3.5 km/s; allowed is 0 < vs < vp < 15",
        ),
        (
            "velocity",
            {"layers": [{"top_km": 0, "vp_km_s": 6}]},
            "a layer has no vs_km_s; give it, or vp_vs for all layers",
        ),
        ("velocity.name", "iasp19", "no model 'iasp19' is built in, only iasp91 and ak135"),
        ("velocity.file", "no.nd", "no.nd: velocity model cannot be read: No such file"),
        (
            "network.region",
            {"west": 0, "south": 5, "east": 1, "north": 4},
            "north (4.0) must be larger than south (5.0)",
        ),
        (
            "archive.url",
            "gs://bucket",
            "archive.url = 'gs://bucket': write the path of a folder, or s3://bucket/prefix",
        ),
        ("network", {}, "network.name is missing"),
        (
            "source",
            {"kind": "fdsn", "urls": ["X"], "limits": {"x.org": {"max_conections": 2}}},
            "in source.limits.x.org, 'max_conections' is not a key; did you mean 'max_connections'",
        ),
        (
            "source",
            {"kind": "fdsn", "urls": ["X"], "auth": "basic"},
            "source.auth = 'basic': input should be 'none', 'password', 'token' or 'eida'",
        ),
        (
            "source",
            {"kind": "opendata", "centre": "GEOFON"},
            "source.centre = 'GEOFON': input should be 'SCEDC', 'NCEDC', 'EARTHSCOPE' or 'GEONET'",
        ),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(
    tmp_path: Path, key: str, value: object, expected: str
) -> None:
    path = write(tmp_path, changed(key, value))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert expected in message
    assert message.startswith(str(path))
    assert "\n" not in message


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("network: [unclosed")
    with pytest.raises(ConfigError, match=r"broken\.yaml: cannot be read as YAML"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("network: {name: x}\nsource: {kind: simulated}\nnetwork: {name: y}\n", "line 3, column 1"),
        (
            "source: {kind: simulated, seed: 1, seed: 2}\n",
            "key 'seed' stands there twice; keep one",
        ),
        ("network:\n\tname: x\n", "line 2, column 1: .* indent with spaces, not tabs"),
        ("network: \udcff", "it is not UTF-8 text"),
    ],
)
def test_what_yaml_would_take_or_muddle_is_told_with_its_place(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "network.yaml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=rf"network\.yaml: cannot be read as YAML: .*{expected}"):
        load_config(path)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("GEOMON_ARCHIV__URL", "x", "GEOMON_ARCHIV__URL in the environment: .* 'ARCHIVE'"),
        ("GEOMON_ARCHIVE", "x", "the environment: .* such as GEOMON_ARCHIVE__URL"),
        ("GEOMON_SOURCE__SEED", "x", "source.seed = 'x', from GEOMON_SOURCE__SEED: "),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=expected):
        load_config(write(tmp_path, GOOD))


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOMON_SOURCE__SEED", "99")
    monkeypatch.setenv("GEOMON_ARCHIVE__URL", "/elsewhere")
    config = load_config(write(tmp_path, GOOD))
    assert isinstance(config.source, SimulatedSource)
    assert config.source.seed == 99
    assert config.archive.url == "/elsewhere"


def test_a_model_file_is_read_once_and_its_layers_count_not_its_place(tmp_path: Path) -> None:
    configs = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        (folder / "local.csv").write_text("top_km,vp_km_s\n0,5\n10,6.2\n")
        content = changed("velocity", {"file": "local.csv", "vp_vs": 1.75})
        configs.append(load_config(write(folder, content)))
    assert configs[0].velocity.model().vs_km_s == (5 / 1.75, 6.2 / 1.75)
    assert configs[0].velocity.model().name == "local"
    assert configs[0].version("velocity") == configs[1].version("velocity")
    (tmp_path / "one" / "local.csv").write_text("top_km,vp_km_s\n0,5\n10,fast\n")
    with pytest.raises(ConfigError, match=r"velocity: .*local\.csv:3: .*'fast'; expected"):
        load_config(tmp_path / "one" / "network.yaml")


def test_the_built_in_crust_stands_in_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_config(write(tmp_path, GOOD)).velocity.model() == IASP91
    assert "no velocity model given: the iasp91 crust stands in" in caplog.text
    caplog.clear()
    load_config(write(tmp_path, changed("velocity.layers", [])))
    assert "no velocity model given" in caplog.text
    caplog.clear()
    assert load_config(write(tmp_path, changed("velocity.name", "ak135"))).velocity.model() == AK135
    assert not caplog.text


def test_version_changes_with_its_section_only(tmp_path: Path) -> None:
    one = load_config(write(tmp_path, GOOD))
    other = load_config(write(tmp_path, changed("picker.threshold_p", 0.4)))
    assert one.version("picker") != other.version("picker")
    assert one.version("association", "velocity") == other.version("association", "velocity")


def test_shipped_configs_are_good_and_every_key_is_documented() -> None:
    for name in ("demo", "hengill", "ridgecrest"):
        load_config(find_config(name))
    assert isinstance(load_config(find_config("ridgecrest")).source, FdsnSource)
    schema = config_schema()
    for section in schema["$defs"].values():
        for key, field in section.get("properties", {}).items():
            assert field.get("description") or key == "kind", f"{section['title']}.{key}"
    json.dumps(schema)


def test_an_unknown_config_names_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r"nowhere: no such config file; shipped are demo"):
        find_config("nowhere")


def test_a_mistyped_key_is_told_before_a_missing_one(tmp_path):
    path = tmp_path / "network.yaml"
    path.write_text("network: {name: x}\narchive: {ulr: a}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"in archive, 'ulr' is not a key; did you mean 'url'\?"):
        load_config(path)
