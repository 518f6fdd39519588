"""Commands that start servers, and say who may log in."""

import socket
import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from geomon.cli.common import DEFAULT_CONFIG, ConfigOption, load
from geomon.config import find_config
from geomon.errors import ConfigError, DataError, StoreError

users_app = typer.Typer(no_args_is_help=True, help="Who may log in to the web services.")

HostOption = Annotated[
    str, typer.Option("--host", help="Address to listen on; 0.0.0.0 is all of this machine's.")
]
PortOption = Annotated[
    int, typer.Option("--port", min=1, max=65_535, help="Port of the web page and services.")
]
UserArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]
_SHORTEST_PASSWORD = 8


def up(
    config: ConfigOption = DEFAULT_CONFIG,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    prefect_port: Annotated[
        int, typer.Option(min=1, max=65_535, help="Port of the Prefect server and its page.")
    ] = 4200,
) -> None:
    """Start the Prefect server, workers and the web services on this machine; Ctrl-C stops them."""
    from geomon.services.up import up as start_all

    start_all(find_config(config), host=host, port=port, prefect_port=prefect_port)


def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
) -> None:
    """Serve FDSN web services and the web page; Ctrl-C stops them."""
    from geomon.api.access import TOKEN_VARIABLE, Access, is_loopback
    from geomon.api.app import create_app
    from geomon.api.server import Server
    from geomon.services.workspace import workspace

    try:
        socket.getaddrinfo(host, port)
    except socket.gaierror as error:
        msg = f"--host {host}: no address of this machine: {error.strerror}"
        raise DataError(msg) from error
    network = load(config)
    try:
        _ = workspace(network).catalog
    except StoreError as error:  # it may yet come: a database may start later than its users
        print(f"geomon: {error}: requests fail until that is mended", file=sys.stderr)
    application = create_app(network, host=host)
    access: Access = application.state.access
    if not (is_loopback(host) or access.can_log_in):
        note = f"no one can change events here: set server.writers, or {TOKEN_VARIABLE}"
        print(f"geomon: {note}", file=sys.stderr)
    print(f"http://{host}:{port}/", file=sys.stderr)
    Server(application, host, port).run()


@users_app.command("set")
def set_user(name: UserArgument, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Give a user a password, asked for on the terminal or read from stdin."""
    from geomon.api.digest import password_hash

    file = _users_file(config)
    if not name or ":" in name or not name.isprintable():
        msg = f"{name!r} is no user name: it may hold no colon"
        raise DataError(msg)
    password = getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(password) < _SHORTEST_PASSWORD:
        msg = f"{name}: a password has at least {_SHORTEST_PASSWORD} characters"
        raise DataError(msg)
    _write_users(file, {**_known_users(file), name: password_hash(name, password)})
    print(f"{name}: may log in; server.writers and server.readers say what for", file=sys.stderr)


@users_app.command("remove")
def remove_user(name: UserArgument, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Forget a user."""
    file = _users_file(config)
    users = _known_users(file)
    if users.pop(name, None) is None:
        msg = f"{name}: no such user"
        raise DataError(msg)
    _write_users(file, users)


@users_app.command("list")
def list_users(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """List the users and what they may do."""
    settings = load(config).server
    for name in sorted(_known_users(_users_file(config))):
        rights = ["changes events"] if name in settings.writers else []
        rights += [f"reads {pattern}" for pattern in settings.readers.get(name, ())]
        print(f"{name:<16} {', '.join(rights)}".rstrip())


def _users_file(config: str) -> Path:
    file = load(config).server.users
    if file is None:
        msg = f"{config}: server.users names no file to keep users in"
        raise ConfigError(msg)
    return file


def _known_users(file: Path) -> dict[str, str]:
    from geomon.api.access import read_users

    return read_users(file) if file.exists() else {}


def _write_users(file: Path, users: dict[str, str]) -> None:
    """Replace the file of users as a whole; no one else may read it."""
    from geomon.api.digest import REALM

    new = file.with_name(f"{file.name}.new")
    new.touch(mode=0o600)
    lines = (f"{name}:{REALM}:{known}\n" for name, known in sorted(users.items()))
    new.write_text("".join(lines), encoding="utf-8")
    new.replace(file)
