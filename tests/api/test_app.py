"""What holds for every answer, and for the page's files."""

import hashlib
import json
import re
import zlib
from pathlib import Path

import pytest

import geomon.api

STATIC = Path(geomon.api.__file__).parent / "static"
VENDOR = STATIC / "vendor"
OWN = sorted(p for p in STATIC.rglob("*") if p.is_file() and VENDOR not in p.parents)


@pytest.mark.parametrize(
    "path", ["/", "/api/status", "/fdsnws/event/1/query?x=1", "/nothing", "/static/page.css"]
)
def test_every_answer_carries_the_security_headers(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_the_page_and_its_files_are_served(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    links = re.findall(r'(?:src|href)="(static/[^"]+)"', page.text)
    assert len(links) >= 5
    for link in links:
        answer = client.get(f"/{link}")
        assert answer.status_code == 200, link
        if link.endswith((".js", ".mjs")):
            assert "javascript" in answer.headers["content-type"]
    module = client.get("/static/vendor/maplibre-gl/maplibre-gl.mjs")
    assert "javascript" in module.headers["content-type"]
    assert module.headers["content-encoding"] == "gzip"
    assert client.get("/static/../app.py").status_code == 404
    assert client.get("/static/%2e%2e/app.py").status_code == 404


def test_files_that_did_not_change_are_not_sent_again(client):
    first = client.get("/static/page.css")
    again = client.get("/static/page.css", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_own_files_name_no_outside_address(path):
    text = path.read_text(encoding="utf-8")
    addresses = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"'`]*", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_the_page_weighs_little_in_a_wheel():
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) < 5e6


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("names", "least"),
    [("ink muted accent p s good bad", 4.5), ("partial silent depth-1 depth-2 age-0 age-1", 3)],
    ids=["words", "marks"],
)
def test_colours_stand_out_from_what_is_behind_them(theme, names, least):
    style = (STATIC / "page.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", style.split(":root {")[1 + theme]))
    for name in names.split():
        for behind in ("panel", "bg", "land"):
            light, dark = sorted((luminance(colours[one]) for one in (name, behind)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= least, f"{name} on {behind}"


def test_vendored_files_are_what_was_published():
    record = json.loads((VENDOR / "versions.json").read_text(encoding="utf-8"))
    listed = {"versions.json"}
    for name, package in record.items():
        assert package["licence"] in {"BSD-3-Clause", "ISC"}
        assert any(file.startswith("LICENSE") for file in package["sha256"])
        for file, digest in package["sha256"].items():
            content = (VENDOR / name / file).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest, f"{name}/{file} was changed"
            listed.add(f"{name}/{file}")
    held = {str(p.relative_to(VENDOR)) for p in VENDOR.rglob("*") if p.is_file()}
    assert held == listed


def test_a_failure_tells_nothing_of_the_inside(tmp_path, serve):
    from tests.api.network import make_config

    config = make_config(tmp_path)
    (tmp_path / "catalog.sqlite").write_bytes(b"this is no database" * 100)
    client = serve(config)
    for path in ("/api/status", "/fdsnws/event/1/query"):
        answer = client.get(path)
        assert answer.status_code == 500
        assert str(tmp_path) not in answer.text
        assert "Traceback" not in answer.text
