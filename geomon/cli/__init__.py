"""The `geomon` command: thin commands over services."""

import logging
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from geomon.cli.backfill import backfill_app
from geomon.cli.catalog import catalog_app
from geomon.cli.configuration import config_app, doctor
from geomon.cli.locating import corrections_app, relocate, tune
from geomon.cli.magnitude import magnitude_app
from geomon.cli.models import model_app
from geomon.cli.picks import picks_app
from geomon.cli.processing import coverage, demo, ingest, locate, pick, run, watch
from geomon.cli.review import review
from geomon.cli.serving import serve, up, users_app
from geomon.cli.truth import blasts, detection, merge, reliability
from geomon.cli.waveforms import archive_app, quality
from geomon.errors import ConfigError, DataError, GeomonError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=(
        "Exit status: 0 success, also without data; 1 some of the work failed after the rest was "
        "done; 2 wrong usage or config. Times are UTC, spans do not include their end."
    ),
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"geomon {version('geomon')}")
        raise typer.Exit


@app.callback()
def geomon(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """From continuous seismic waveforms to an earthquake catalogue people can trust."""


for command in (
    demo, doctor, ingest, pick, locate, run, watch, coverage, quality, relocate, tune, up, serve,
):  # fmt: skip
    app.command()(command)
for of_catalog in (review, merge, blasts, detection, reliability):
    catalog_app.command()(of_catalog)
app.add_typer(backfill_app, name="backfill")
app.add_typer(catalog_app, name="catalog")
app.add_typer(picks_app, name="picks")
app.add_typer(archive_app, name="archive")
app.add_typer(magnitude_app, name="magnitude")
app.add_typer(corrections_app, name="corrections")
app.add_typer(model_app, name="model")
app.add_typer(users_app, name="users")
app.add_typer(config_app, name="config")


def main() -> None:
    """Run the command line: exit 0 on success, 2 on bad usage or config, 1 on failure."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        app()
    except (ConfigError, DataError) as error:
        _fail(error, 2)
    except (GeomonError, OSError) as error:
        _fail(error, 1)


def _fail(error: Exception, status: int) -> NoReturn:
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    line = " ".join(text.split())
    print(f"geomon: {line}", file=sys.stderr)
    sys.exit(status)
