"""Restricted data: who is asking is proven, to that data centre only, and written down nowhere."""

import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.request import parse_http_list, parse_keqv_list

import httpx
import pytest
from werkzeug import Request, Response

from geomon.config import Network
from geomon.errors import ConfigError
from geomon.miniseed import encode
from geomon.sources.credentials import Bearer, Digest, Eida, Login, logins
from geomon.sources.fdsn import FdsnSource
from tests.servers import free_port
from tests.sources.conftest import PB01, RECORDINGS, SPAN, quick

HHE = PB01[0]
CONTENT = encode([RECORDINGS[HHE]], format_version=2, record_length=512)
USER, PASSWORD, TOKEN = "ops@example.org", "s3cr3t-word", "t0ken-abc.def"
QUERY = "/fdsnws/dataselect/1/query"
QUERYAUTH = "/fdsnws/dataselect/1/queryauth"


class DigestServer:
    """Demands HTTP digest with qop=auth and checks every answer (RFC 7616)."""

    def __init__(self, algorithm: str = "SHA-256", passwords: dict[str, str] | None = None) -> None:
        self.algorithm = algorithm
        self.passwords = passwords or {USER: PASSWORD}
        self.nonce = "n1"
        self.used: set[tuple[str, str]] = set()
        self.n_let_in = 0

    def _hash(self, text: str) -> str:
        return hashlib.new(self.algorithm.replace("-", "").lower(), text.encode()).hexdigest()

    def _knows(self, request: Request) -> bool:
        kind, _, rest = request.headers.get("Authorization", "").partition(" ")
        if kind != "Digest":
            return False
        told = parse_keqv_list(parse_http_list(rest))
        password = self.passwords.get(told["username"])
        use = (told["nc"], told["cnonce"])
        if told["nonce"] != self.nonce or use in self.used or password is None:
            return False
        self.used.add(use)
        secret = self._hash(f"{told['username']}:fdsn:{password}")
        asked = self._hash(f"POST:{told['uri']}")
        parts = (secret, told["nonce"], told["nc"], told["cnonce"], told["qop"], asked)
        return told["uri"] == request.path and told["response"] == self._hash(":".join(parts))

    def __call__(self, request: Request) -> Response:
        if self._knows(request):
            self.n_let_in += 1
            return Response(CONTENT)
        challenge = f'Digest realm="fdsn", nonce="{self.nonce}", qop="auth"'
        challenge += f", algorithm={self.algorithm}"
        return Response("no", status=401, headers={"WWW-Authenticate": challenge})


@pytest.fixture
def url(httpserver) -> str:
    return f"http://127.0.0.1:{httpserver.port}"


@pytest.fixture
def secrets(monkeypatch) -> None:
    monkeypatch.setenv("GEOMON_FDSN_USER", USER)
    monkeypatch.setenv("GEOMON_FDSN_PASSWORD", PASSWORD)
    monkeypatch.setenv("GEOMON_FDSN_TOKEN", TOKEN)


@pytest.fixture
def source_of(network, secrets) -> Iterator[object]:
    opened: list[FdsnSource] = []

    def make(*urls: str, **changes: object) -> FdsnSource:
        opened.append(FdsnSource(quick(*urls, **changes), network))
        return opened[-1]

    yield make
    for source in opened:
        source.close()


def assert_secret(fetched: object, *texts: str) -> None:
    for text in (repr(fetched), *texts):
        for secret in (PASSWORD, TOKEN):
            assert secret not in text


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_password_is_proven_by_digest(httpserver, url, source_of, caplog, algorithm):
    caplog.set_level(logging.DEBUG)
    guard = DigestServer(algorithm)
    httpserver.expect_request(QUERYAUTH, method="POST").respond_with_handler(guard)
    source = source_of(url, auth="password")
    for _ in range(3):
        fetched = source.fetch([HHE], SPAN)
        assert fetched.outcome == "data"
        assert fetched.missing == ()
    assert guard.n_let_in == 3
    assert len(httpserver.log) == 4  # one challenge; after it every request is signed at once
    assert all(PASSWORD not in str(request.headers) for request, _ in httpserver.log)
    assert [asked.url for asked in fetched.asked] == [url + QUERYAUTH]
    assert_secret(fetched, caplog.text, repr(source.settings), source.settings.model_dump_json())


def test_threads_never_use_a_nonce_twice_alike(httpserver, url, source_of):
    guard = DigestServer()
    httpserver.expect_request(QUERYAUTH).respond_with_handler(guard)
    source = source_of(url, auth="password", max_connections=4)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: source.fetch([HHE], SPAN).outcome, range(16)))
    assert set(outcomes) == {"data"}


def test_a_nonce_that_expired_is_replaced(httpserver, url, source_of):
    guard = DigestServer()
    httpserver.expect_request(QUERYAUTH).respond_with_handler(guard)
    source = source_of(url, auth="password")
    assert source.fetch([HHE], SPAN).outcome == "data"
    guard.nonce, guard.used = "n2", set()
    assert source.fetch([HHE], SPAN).outcome == "data"


@pytest.mark.fault(16)
def test_a_wrong_password_is_refused_once_and_one_alarm_given(httpserver, url, source_of, caplog):
    httpserver.expect_request(QUERYAUTH).respond_with_handler(DigestServer(passwords={USER: "x"}))
    source = source_of(url, auth="password")
    for _ in range(3):
        fetched = source.fetch([HHE], SPAN)
        assert fetched.outcome == "auth"
        assert not fetched.is_retryable
    assert len(httpserver.log) == 1 + 3 + 2  # what is stale is asked anew, a refusal never
    [alarm] = [r.message for r in caplog.records if r.levelno == logging.ERROR]
    assert alarm.startswith(f"127.0.0.1:{httpserver.port}: HTTP 401, access refused")
    assert_secret(fetched, caplog.text)


@pytest.mark.parametrize(
    "challenge",
    [
        "Digest", 'Digest realm="x"', 'Digest realm="x", nonce="y", algorithm=ROT13',
        'Digest realm="x", nonce="y", qop="auth-int"', 'Digest realm="x", nonce="y", qop="zzz"',
        'Basic realm="x"', "Digest =,=,=", "", 'Digest realm="x", nonce="y", realm',
    ],
)  # fmt: skip
def test_a_strange_challenge_is_a_refusal(httpserver, url, source_of, challenge):
    httpserver.expect_request(QUERYAUTH).respond_with_data(
        "no", status=401, headers={"WWW-Authenticate": challenge}
    )
    fetched = source_of(url, auth="password").fetch([HHE], SPAN)
    assert fetched.outcome == "auth"
    assert len(httpserver.log) <= 2
    assert all("\n" not in line for line in fetched.problems)


def test_a_token_goes_with_every_request(httpserver, url, source_of, caplog):
    caplog.set_level(logging.DEBUG)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    httpserver.expect_request(QUERY, headers=bearer).respond_with_data(CONTENT)
    source = source_of(url, auth="token")
    fetched = source.fetch([HHE], SPAN)
    assert fetched.outcome == "data"
    assert_secret(fetched, caplog.text, repr(source.settings))


@pytest.mark.fault(20)
def test_a_redirect_elsewhere_takes_no_secret_along(httpserver, url, source_of):
    elsewhere = f"http://localhost:{httpserver.port}/stolen"
    httpserver.expect_request(QUERY).respond_with_data(
        "", status=307, headers={"Location": elsewhere}
    )
    httpserver.expect_request("/stolen").respond_with_data(CONTENT)
    assert source_of(url, auth="token").fetch([HHE], SPAN).outcome == "rejected"
    assert [request.path for request, _ in httpserver.log] == [QUERY]


def test_each_centre_gets_its_own_secret_and_no_other(
    httpserver, url, network, secrets, monkeypatch
):
    other = f"http://localhost:{httpserver.port}"
    monkeypatch.setenv(f"GEOMON_FDSN_TOKEN_LOCALHOST_{httpserver.port}", "for-localhost")
    httpserver.expect_request(QUERY).respond_with_data("", status=204)
    with closing(FdsnSource(quick(url, other, auth="token"), network)) as source:
        source.fetch([HHE], SPAN)
    shown = [request.headers.get("Authorization") for request, _ in httpserver.log]
    assert shown == [None, "Bearer for-localhost"]


AUTH = "/fdsnws/dataselect/1/auth"


def test_an_eida_token_is_exchanged_for_an_account(httpserver, url, source_of, caplog):
    caplog.set_level(logging.DEBUG)
    guard = DigestServer("MD5", {"temporary": "pass-1"})
    httpserver.expect_request(AUTH, method="POST", data=TOKEN).respond_with_data(
        "temporary:pass-1\n"
    )
    httpserver.expect_request(QUERYAUTH).respond_with_handler(guard)
    source = source_of(url, auth="eida")
    fetched = source.fetch([HHE], SPAN)
    assert fetched.outcome == source.fetch([HHE], SPAN).outcome == "data"
    assert [r.path for r, _ in httpserver.log] == [AUTH, QUERYAUTH, QUERYAUTH, QUERYAUTH]
    assert_secret(fetched, caplog.text)
    assert "pass-1" not in repr(fetched) + caplog.text


def test_an_eida_account_that_expired_is_renewed(httpserver, url, source_of):
    guard = DigestServer("MD5", {"temporary": "pass-1"})
    httpserver.expect_oneshot_request(AUTH).respond_with_data("temporary:pass-1")
    httpserver.expect_request(AUTH).respond_with_data("temporary:pass-2")
    httpserver.expect_request(QUERYAUTH).respond_with_handler(guard)
    source = source_of(url, auth="eida")
    assert source.fetch([HHE], SPAN).outcome == "data"
    guard.passwords = {"temporary": "pass-2"}
    assert source.fetch([HHE], SPAN).outcome == "data"


@pytest.mark.parametrize(
    ("status", "text"), [(400, "bad token"), (200, "no colon here"), (200, ""), (200, ":x")]
)
def test_an_eida_token_that_is_refused_is_one_clear_line(httpserver, url, source_of, status, text):
    httpserver.expect_request(AUTH).respond_with_data(text, status=status)
    fetched = source_of(url, auth="eida").fetch([HHE], SPAN)
    assert fetched.outcome == "auth"
    [line] = fetched.problems
    assert "EIDA token" in line
    assert len(httpserver.log) == 1


def test_without_secrets_it_is_said_which_are_missing(network, monkeypatch):
    for name in ("USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"GEOMON_FDSN_{name}", raising=False)
    with pytest.raises(ConfigError, match="set GEOMON_FDSN_USER and GEOMON_FDSN_PASSWORD in"):
        FdsnSource(quick("SCEDC", auth="password"), network)
    with pytest.raises(ConfigError, match="set GEOMON_FDSN_TOKEN_SERVICE_SCEDC_CALTECH_EDU in"):
        FdsnSource(quick("SCEDC", "NCEDC", auth="token"), network)


HTTPS = "https://geofon.gfz.de"


def test_secrets_are_taken_by_name():
    two = [HTTPS, "https://eida.ethz.ch"]
    only_one = {"GEOMON_FDSN_TOKEN_EIDA_ETHZ_CH": TOKEN, "GEOMON_FDSN_TOKEN": "general"}
    assert [type(login) for login in logins("token", two, only_one)] == [Login, Bearer]
    assert [type(login) for login in logins("eida", [HTTPS], only_one)] == [Eida]
    user = {"GEOMON_FDSN_USER_GEOFON_GFZ_DE": "a", "GEOMON_FDSN_PASSWORD_GEOFON_GFZ_DE": "b"}
    [login] = logins("password", [HTTPS], user)
    assert isinstance(login, Digest)
    assert login.method == "queryauth"
    with pytest.raises(ConfigError, match="GEOMON_FDSN_PASSWORD is not set"):
        logins("password", [HTTPS], {"GEOMON_FDSN_USER": "a"})
    with pytest.raises(ConfigError, match="no bearer token") as caught:
        logins("token", [HTTPS], {"GEOMON_FDSN_TOKEN": "näive"})
    assert "näive" not in str(caught.value)


@pytest.mark.parametrize("kind", ["password", "token", "eida"])
def test_secrets_never_go_over_plain_http(network, secrets, kind):
    with pytest.raises(ConfigError, match=r"over https only; example\.org is asked by http"):
        FdsnSource(quick("http://example.org", auth=kind), network)


def test_a_url_with_a_password_is_refused_without_showing_it(network):
    with pytest.raises(ConfigError, match=r"example\.org: a user or password in a URL") as caught:
        FdsnSource(quick(f"https://me:{PASSWORD}@example.org"), network)
    assert PASSWORD not in str(caught.value)


@pytest.mark.fault(51)
@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]"])
def test_a_machines_own_metadata_service_is_no_data_centre(network, host):
    with pytest.raises(ConfigError, match="not a data centre"):
        FdsnSource(quick(f"http://{host}/latest"), network)


def test_a_login_signs_nothing_by_default():
    request = httpx.Request("POST", f"http://127.0.0.1:{free_port()}/")
    assert [r.headers.get("Authorization") for r in Login().signed(request)] == [None]


def test_stations_are_asked_for_with_the_token_too(httpserver, url, secrets):
    httpserver.expect_request(
        "/fdsnws/station/1/query", headers={"Authorization": f"Bearer {TOKEN}"}
    ).respond_with_data("", status=204)
    network = Network(name="test", select=("CX.*",))
    with closing(FdsnSource(quick(url, auth="token"), network)) as source:
        assert source.stations(SPAN).seed_ids() == []
