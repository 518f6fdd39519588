"""Networks for tests: the simulated one, with its stores in a folder."""

from pathlib import Path
from typing import Any

import yaml

from geomon.config import Config, find_config, load_config


def simulated(folder: Path, **changes: Any) -> Config:
    """Return the demo's network with its stores in `folder`; `changes` replace sections."""
    return load_config(simulated_file(folder, **changes))


def simulated_file(folder: Path, **changes: Any) -> Path:
    """Write the demo's config into `folder`, with sections replaced."""
    content = yaml.safe_load(find_config("demo").read_text(encoding="utf-8"))
    content["archive"] = {"url": "archive"}
    content["catalog"] = {"url": "sqlite:///catalog.sqlite"}
    content.update(changes)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path
