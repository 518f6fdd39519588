"""What is shipped for containers, Kubernetes and systemd: well-formed, and of one mind."""

import configparser
import re
import shlex
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from geomon.cli import app
from geomon.services.processes import prefect_settings

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = ROOT / "deployments"
SECRETS = {"POSTGRES_PASSWORD": "p", "S3_USER": "u", "S3_PASSWORD": "s"}
MADE = ("namespace", "postgres", "s3", "prefect", "dask", "web")


def compose() -> dict:
    """Return the compose file with its variables replaced, as `docker compose config` does."""

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        return SECRETS[name] if default is None else SECRETS.get(name, default)

    text = (DEPLOYMENTS / "compose.yaml").read_text()
    pattern = r"(?<!\$)\$\{(?P<name>\w+)(?::\?|:-(?P<default>[^}]*))\}"
    return yaml.safe_load(re.sub(pattern, value, text))


def manifests() -> list[dict]:
    return [
        document
        for name in MADE
        for document in yaml.safe_load_all((DEPLOYMENTS / f"kubernetes/{name}.yaml").read_text())
    ]


def fault_of(document: dict) -> str:
    """Say what Kubernetes' own schemas find wrong with a document."""
    try:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error)
    return ""


def test_the_compose_file_is_one() -> None:
    from compose_spec import ComposeSpecification

    content = {key: value for key, value in compose().items() if not key.startswith("x-")}
    ComposeSpecification.model_validate(content, extra="forbid")
    services = content["services"]
    for name, service in services.items():
        assert "$" not in str(service).replace("$$", ""), name
        assert set(service.get("depends_on", ())) <= set(services), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in content["volumes"] or source.startswith("./"), volume
        for file in service.get("env_file", ()):
            assert (DEPLOYMENTS / file).is_file()


@pytest.mark.parametrize(
    "document", manifests(), ids=lambda d: f"{d['kind']}-{d['metadata']['name']}"
)
def test_every_manifest_is_one(document: dict) -> None:
    assert fault_of(document) == ""
    assert "'typo' was unexpected" in fault_of(document | {"typo": 1})


def test_manifests_refer_to_what_there_is() -> None:
    kustomization = yaml.safe_load((DEPLOYMENTS / "kustomization.yaml").read_text())
    assert kustomization["resources"] == [f"kubernetes/{name}.yaml" for name in MADE]
    names = {(d["kind"], d["metadata"]["name"]) for d in manifests()}
    names |= {("ConfigMap", made["name"]) for made in kustomization["configMapGenerator"]}
    names |= {("Secret", made["name"]) for made in kustomization["secretGenerator"]}
    text = str(manifests())
    for kind, pattern in {
        "ConfigMap": r"'configMap(?:Ref)?': \{'name': '([^']+)'",
        "Secret": r"'secretKeyRef': \{'name': '([^']+)'",
        "PersistentVolumeClaim": r"'claimName': '([^']+)'",
    }.items():
        referred = set(re.findall(pattern, text))
        assert referred
        assert {(kind, name) for name in referred} <= names
    hosts = set(re.findall(r"(?:@|//|host': ')(postgres|s3|prefect|dask-scheduler)\b", text))
    assert {("Service", host) for host in hosts} <= names
    example = (DEPLOYMENTS / "secrets.env.example").read_text()
    assert set(re.findall(r"^(\w+)=", example, re.M)) == set(SECRETS)
    assert set(re.findall(r"'key': '(\w+)'", text)) == set(SECRETS)


def test_both_start_the_same_with_the_same_settings() -> None:
    ours = {
        name: service for name, service in compose()["services"].items()
        if service.get("env_file") == ["prefect.env"]
    }  # fmt: skip
    theirs = {
        d["metadata"]["name"]: d["spec"]["template"]["spec"]["containers"][0]
        for d in manifests()
        if d["kind"] in {"Deployment", "Job"} and d["metadata"]["name"] not in {"postgres", "s3"}
    }
    assert set(ours) == set(theirs)
    for name, service in ours.items():
        command = [part for part in service["command"] if part not in {"--nworkers", "auto"}]
        assert command == theirs[name]["command"], name
        assert {"configMapRef": {"name": "prefect-settings"}} in theirs[name]["envFrom"], name
        assert service["env_file"] == ["prefect.env"], name
    for name in ("worker", "gpu-worker"):  # they start again with their server
        assert ours[name]["depends_on"]["prefect"]["restart"] is True
        assert theirs[name]["livenessProbe"]["httpGet"]["host"] == "prefect"
    [addresses] = [d for d in manifests() if d["metadata"]["name"] == "addresses"]
    environment = compose()["services"]["worker"]["environment"]
    assert addresses["data"].items() <= environment.items()


@pytest.mark.parametrize("path", sorted((DEPLOYMENTS / "systemd").iterdir()), ids=lambda p: p.name)
def test_units_start_what_there_is(path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(path.read_text())
    assert set(unit) - {"DEFAULT"} == {"Unit", "Service", "Install"}
    service = unit["Service"]
    assert service["Restart"] == "always"
    program, *arguments = shlex.split(service["ExecStart"])
    assert program.startswith("/opt/geomon/.venv/bin/")
    if program.endswith("geomon"):
        assert arguments[0] in {command.callback.__name__ for command in app.registered_commands}
    else:
        assert arguments[:4] == ["-m", "prefect", "worker", "start"]


def test_settings_are_plain_pairs_that_every_tool_reads_alike() -> None:
    for line in (DEPLOYMENTS / "prefect.env").read_text().splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[A-Z_]+=[\w.,:/-]+", line), line
    settings = prefect_settings()
    assert settings["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith("filesystem")
    retention_s = int(settings["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"])
    assert retention_s == 30 * 86_400
