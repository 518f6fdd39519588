"""Who may change events, and how much anyone may ask."""

import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from click.testing import Result
from fastapi import FastAPI
from typer.testing import CliRunner

from geomon.api.access import TOKEN_VARIABLE, Writer
from geomon.api.app import create_app
from geomon.api.digest import password_hash
from geomon.api.limits import Rate
from geomon.cli import app
from geomon.config import Config
from geomon.errors import ConfigError
from geomon.stores.catalog import Catalog
from tests.api.conftest import serving
from tests.api.network import make_config

PASSWORD = "correct horse"


def writable(config: Config, host: str = "127.0.0.1") -> FastAPI:
    """Return the application with a route that only writers may use."""
    application = create_app(config, host=host)

    @application.post("/api/review/test")
    def change(who: Writer) -> str:
        return who

    return application


def own_page(client: httpx.Client) -> dict[str, str]:
    """Return what a browser sends along with a request of the server's own page."""
    return {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def ask(tmp_path: Path):
    """Serve a network, however it is configured, and return a client of it."""
    opened = []

    def serve(host: str = "127.0.0.1", **server: object) -> httpx.Client:
        context = serving(writable(make_config(tmp_path, server=server), host))
        opened.append((context, httpx.Client(base_url=context.__enter__())))
        return opened[-1][1]

    yield serve
    for context, client in opened:
        client.close()
        context.__exit__(None, None, None)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users"
    names = ("anna", "ben")
    file.write_text("".join(f"{n}:FDSN:{password_hash(n, PASSWORD)}\n" for n in names))
    return file


type Ask = Callable[..., httpx.Client]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),  # no browser's page asks
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        # A name of another site that leads here.
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        # Through a proxy others may sit behind it.
        ({"Sec-Fetch-Site": "same-origin", "X-Forwarded-For": "10.1.1.1"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Via": "1.1 proxy"}, 403),
        ({"Authorization": "Bearer guess"}, 401),
    ],
)
def test_only_the_own_page_changes_events_on_this_machine(ask: Ask, headers, status):
    answer = ask().post("/api/review/test", headers=headers)
    assert answer.status_code == status, answer.text


def test_the_own_page_is_known_by_its_origin(ask: Ask):
    client = ask()
    assert client.post("/api/review/test", headers=own_page(client)).status_code == 200
    elsewhere = own_page(client) | {"Origin": "http://127.0.0.1:1"}
    assert client.post("/api/review/test", headers=elsewhere).status_code == 403
    assert client.get("/api/visitor", headers=own_page(client)).json()["may_write"] is True
    assert client.get("/api/visitor").json() == {
        "name": None, "may_write": False, "can_log_in": False,
    }  # fmt: skip


def test_elsewhere_no_one_changes_anything_without_a_login(ask: Ask):
    client = ask(host="0.0.0.0")
    answer = client.post("/api/review/test", headers=own_page(client))
    assert answer.status_code == 403
    assert TOKEN_VARIABLE in answer.json()["detail"]
    login = client.post("/api/login", json={"password": "x"}, headers=own_page(client))
    assert login.status_code == 403
    assert client.get("/fdsnws/event/1/version").status_code == 200


def test_a_program_shows_its_token(ask: Ask, monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "s3cret-token")
    client = ask(host="0.0.0.0")
    for shown, status in (("s3cret-token", 200), ("s3cret-toke", 401), ("x", 401)):
        headers = {"Authorization": f"Bearer {shown}"}
        assert client.post("/api/review/test", headers=headers).status_code == status
    assert client.post("/api/review/test", headers=own_page(client)).status_code == 401
    login = client.post("/api/login", json={"password": "s3cret-token"}, headers=own_page(client))
    assert login.json()["name"] == "token"
    assert client.post("/api/review/test", headers=own_page(client)).json() == "token"


def test_a_person_logs_in_and_out(ask: Ask, users):
    client = ask(host="0.0.0.0", users=users, writers=("anna",))
    page = own_page(client)

    def log_in(**who: str) -> int:
        return client.post("/api/login", json=who, headers=page).status_code

    assert client.post("/api/review/test", headers=page).status_code == 401
    assert log_in(user="anna", password="wrong") == 401
    assert log_in(user="ben", password=PASSWORD) == 401  # may not write
    assert log_in(user="nobody", password=PASSWORD) == 401
    assert log_in(user="anna", password="") == 422
    assert client.post("/api/login", json={"user": "anna", "password": PASSWORD}).status_code == 403
    assert not client.cookies
    answer = client.post("/api/login", json={"user": "anna", "password": PASSWORD}, headers=page)
    assert answer.json() == {"name": "anna", "may_write": True, "can_log_in": True}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.post("/api/review/test", headers=page).json() == "anna"
    assert client.post("/api/review/test").status_code == 403  # the cookie alone is not enough
    session = client.cookies["geomon_session"]
    for forged in (session[:-1], session[1:], f"x{session}", "é.é", "YW5uYQ==."):
        client.cookies.clear()
        headers = [*page.items(), ("Cookie", f"geomon_session={forged}".encode())]
        assert client.post("/api/review/test", headers=headers).status_code == 401
    client.cookies.set("geomon_session", session)
    restarted = ask(host="0.0.0.0", users=users, writers=("anna",))
    restarted.cookies.set("geomon_session", session)
    assert restarted.get("/api/visitor", headers=own_page(restarted)).json()["name"] == "anna"
    assert client.post("/api/logout", headers=page).status_code == 204
    client.cookies.clear()
    assert client.post("/api/review/test", headers=page).status_code == 401
    assert 429 in {log_in(user="anna", password="wrong") for _ in range(25)}


def test_users_are_kept_by_a_command(tmp_path):
    config = tmp_path / "network.yaml"
    content = {
        "network": {"name": "T"}, "source": {"kind": "simulated"},
        "server": {"users": "people", "readers": {"anna": ["XX.*"]}},
    }  # fmt: skip
    config.write_text(yaml.safe_dump(content))

    def users(*words: str, typed: str = "") -> Result:
        return CliRunner().invoke(app, ["users", *words, "--config", str(config)], input=typed)

    assert users("set", "anna", typed=f"{PASSWORD}\n").exit_code == 0
    file = tmp_path / "people"
    assert file.read_text() == f"anna:FDSN:{password_hash('anna', PASSWORD)}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert users("list").stdout.split() == ["anna", "reads", "XX.*"]
    assert "ben: a password has" in str(users("set", "ben", typed="short\n").exception)
    assert "ben: no such user" in str(users("remove", "ben").exception)
    users("remove", "anna")
    assert file.read_text() == ""


def test_a_user_without_a_password_is_told_at_the_start(tmp_path, users):
    for server in (
        {"users": users, "writers": ("carl",)},
        {"readers": {"anna": ("XX.*",)}},
        {"users": tmp_path / "none", "writers": ("anna",)},
    ):
        with pytest.raises(ConfigError, match=r"server"):
            create_app(make_config(tmp_path, server=server))


@pytest.mark.fault(52)
def test_large_bodies_are_refused(ask: Ask):
    client = ask(max_body_kb=10)
    path = "/fdsnws/dataselect/1/query"
    whole = client.post(path, content=b"x" * 10_001)
    assert whole.status_code == 413
    assert whole.text.startswith("Error 413: Request entity too large")
    in_parts = client.post(path, content=(b"x" * 1000 for _ in range(11)))
    assert in_parts.status_code == 413
    assert client.post("/api/login", content=b"x" * 10_001).json()["detail"]
    assert client.post(path, content=b"x" * 9000).status_code == 400


def test_one_address_may_ask_so_often():
    rate = Rate(60)
    waits = [rate.wait_s("10.0.0.1") for _ in range(61)]
    assert waits[:60] == [0.0] * 60
    assert 0 < waits[60] <= 1
    assert rate.wait_s("10.0.0.2") == 0


@pytest.mark.fault(52)
def test_an_address_that_asks_too_often_is_told_to_wait(ask: Ask):
    client = ask(requests_per_minute=3)
    path = "/fdsnws/event/1/version"
    assert {client.get(path).status_code for _ in range(9)} == {200}  # from this machine
    away = {"X-Forwarded-For": "192.0.2.7"}  # as a proxy on this machine tells it
    answers = [client.get(path, headers=away) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].text.startswith("Error 429: Too many requests")
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert client.get("/static/page.css", headers=away).status_code == 200


def test_other_sites_read_only_if_the_config_lets_them(ask: Ask):
    asked = {"Origin": "https://example.org"}
    assert "access-control-allow-origin" not in ask().get("/api/status", headers=asked).headers
    client = ask(cors_origins=("https://example.org",))
    answer = client.get("/api/status", headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://example.org"
    assert "access-control-allow-credentials" not in answer.headers
    other = client.get("/api/status", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    assert client.post("/api/review/test", headers=asked).status_code == 403


@pytest.mark.fault(52)
def test_a_question_that_takes_too_long_is_stopped(ask: Ask, monkeypatch):
    slow = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

    def version(catalog: Catalog) -> str:
        with catalog.database.read() as connection:
            return str(connection.exec_driver_sql(slow).scalar())

    monkeypatch.setattr(Catalog, "version", version)
    answer = ask(statement_timeout_s=0.2).get("/api/status")
    assert answer.status_code == 413
    assert "narrow" in answer.json()["detail"]


def test_requests_that_make_no_sense_are_answered(ask: Ask):
    client = ask()
    address = urlsplit(str(client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
        raw.sendall(b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
