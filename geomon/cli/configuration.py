"""Commands about the configuration and the installation."""

import json
import re

import typer

from geomon.cli.common import DEFAULT_CONFIG, ConfigOption, JsonOption, load, print_json
from geomon.config import config_schema

config_app = typer.Typer(no_args_is_help=True, help="The configuration.")
_PASSWORD = re.compile(r"(://[^/@:\"]*):[^/@\"]+@")


def doctor(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Tell what is installed, reachable and writable, and what to do about what is not."""
    from geomon.services.doctor import examine

    report = examine(load(config))
    if as_json:
        print_json(report.as_dict())
    else:
        for check in report.checks:
            mark = "ok " if check.is_fine else "NOT"
            remedy = "" if check.is_fine else f" -> {check.remedy}"
            print(f"{mark} {check.name:<12} {check.found}{remedy}")
    if report.n_failed:
        raise typer.Exit(1)


@config_app.command()
def schema() -> None:
    """Print the JSON Schema of a config file."""
    print(json.dumps(config_schema(), indent=2))


@config_app.command()
def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Check a config file and what it names, and print it as geomon reads it; nothing is asked."""
    from geomon.sources.opening import open_source

    network = load(config)
    open_source(network)
    print(_PASSWORD.sub(r"\1:***@", network.model_dump_json(indent=2)))
