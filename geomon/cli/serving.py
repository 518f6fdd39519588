"""Commands that start servers."""

import sys
from typing import Annotated

import typer

from geomon.cli.common import DEFAULT_CONFIG, ConfigOption, load
from geomon.config import find_config


def up(
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[str, typer.Option(help="Address the web services listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the web page and services.")] = 8080,
    prefect_port: Annotated[int, typer.Option(help="Port of the Prefect server.")] = 4200,
) -> None:
    """Start the Prefect server, a worker and the web services on this machine."""
    from geomon.services.up import up as start_all

    start_all(find_config(config), host=host, port=port, prefect_port=prefect_port)


def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
) -> None:
    """Serve FDSN web services and the web page."""
    from geomon.api.app import create_app
    from geomon.api.server import Server

    application = create_app(load(config))
    print(f"http://{host}:{port}/", file=sys.stderr)
    Server(application, host, port).run()
