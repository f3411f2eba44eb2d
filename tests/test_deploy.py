"""What deploy/ hands out is sound: parsed by what knows the format, and every name in it is one that Lipsmith has."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import compose_spec
import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser
from fastapi.routing import APIRoute
from typer.main import get_command

from lipsmith.cli import app as command_line
from lipsmith.config import Settings
from lipsmith.service import extras
from lipsmith.service.settings import ServiceSettings

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
KUBERNETES = "1.34"
ENGINE_NAMES = {"models_folder": "MODELS"}  # of the engine's settings; the others are called as their field
EXAMPLE = re.compile(r"\$\{(\w+)(?::\?[^}]*)?\}")
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?")


def dockerfile() -> list[dict[str, Any]]:
    return list(DockerfileParser(path=str(DEPLOY / "Dockerfile")).structure)


def of(instruction: str) -> list[str]:
    return [one["value"] for one in dockerfile() if one["instruction"] == instruction]


def compose() -> dict[str, Any]:
    """The compose file with the example's variables filled in."""
    text = (DEPLOY / "compose.yaml").read_text()
    return dict(yaml.safe_load(EXAMPLE.sub("x", text)))


def manifests() -> list[dict[str, Any]]:
    return [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())]


def kinds(kind: str) -> list[dict[str, Any]]:
    return [one for one in manifests() if one["kind"] == kind]


def containers() -> Iterator[dict[str, Any]]:
    for one in kinds("Deployment"):
        yield from one["spec"]["template"]["spec"]["containers"]


def lipsmith_takes(arguments: list[str]) -> bool:
    """Whether the command line knows the command and its options."""
    group = get_command(command_line)
    found = group.commands.get(arguments[0]) if arguments else None
    if found is None:
        return False
    known = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return all(one in known for one in arguments[1:] if one.startswith("-"))


# The image


def test_everything_that_is_copied_is_there() -> None:
    stages = [value.split(" AS ")[1] for value in of("FROM") if " AS " in value]
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    for value in of("COPY"):
        words = shlex.split(value)
        if words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in stages
            continue
        for source in words[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source.split('/')[0]}" in allowed, f"{source} is left out of the build's context"


def test_the_image_runs_lipsmith_as_nobody_in_particular() -> None:
    assert of("USER")[-1] not in ("root", "0")
    assert json.loads(of("ENTRYPOINT")[-1]) == ["lipsmith"]
    assert lipsmith_takes(json.loads(of("CMD")[-1]))
    instructions = [one["instruction"] for one in dockerfile()]
    assert instructions.index("HEALTHCHECK") < instructions.index("ENTRYPOINT")
    assert any(lipsmith_takes(["weights", "fetch"]) and "weights fetch" in value for value in of("RUN"))


def test_the_image_begins_with_a_python_that_fits() -> None:
    told = dict(value.split("=", 1) for value in of("ARG") if "=" in value)
    needed = re.search(r'requires-python = ">=(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert needed and tuple(map(int, told["PYTHON"].split(".")[:2])) >= (int(needed[1]), int(needed[2]))
    assert tuple(map(int, told["NODE"].split(".")[:2])) >= (20, 19)
    assert told["TORCH"] == "cpu"
    for value in of("FROM"):
        image = re.sub(r"\$\{(\w+)\}", lambda found: told[found[1]], value.split(" AS ")[0])
        assert PINNED.fullmatch(image), image


# Compose


def test_compose_is_what_the_specification_allows() -> None:
    parsed = compose_spec.PyCompose.from_yaml(yaml.safe_dump(compose()))
    parsed.validate()
    assert {"api", "worker", "database", "store"} <= set(parsed.service_names())


def test_every_variable_of_compose_is_in_the_example() -> None:
    wanted = {found[1] for found in EXAMPLE.finditer((DEPLOY / "compose.yaml").read_text())}
    given = dict(line.split("=", 1) for line in _lines(DEPLOY / ".env.example"))
    assert wanted == set(given)
    secret = [name for name in given if re.search("SECRET|PASSWORD", name)]
    assert secret and not any(given[name] for name in secret), "an example holds no secret"


def test_services_of_compose_are_pinned_and_wait_for_the_healthy() -> None:
    told = compose()["services"]
    for name, service in told.items():
        assert PINNED.fullmatch(service["image"]), name
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy" and "healthcheck" in told[other]
    for name in ("api", "worker"):
        assert lipsmith_takes(told[name]["command"])
    build = told["api"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_volumes_of_compose_are_all_there_and_all_used() -> None:
    told = compose()
    used = {name.split(":")[0] for service in told["services"].values() for name in service.get("volumes", [])}
    assert {name for name in used if not name.startswith("/")} == set(told["volumes"])


def test_compose_serves_its_api_without_a_worker() -> None:
    assert "--no-worker" in compose()["services"]["api"]["command"]


# Kubernetes


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_valid_strictly(path: Path) -> None:
    for one in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "lipsmith"


def test_selectors_find_their_pods() -> None:
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in kinds("Deployment")]
    assert len(pods) == len({json.dumps(labels, sort_keys=True) for labels in pods}), "two Deployments share pods"
    for one in kinds("Deployment"):
        assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]
    asked = [one["spec"]["selector"] for one in kinds("Service")]
    asked += [one["spec"]["selector"]["matchLabels"] for one in kinds("PodDisruptionBudget")]
    assert asked and all(sum(one.items() <= pod.items() for pod in pods) == 1 for one in asked)


def test_ports_and_services_are_met() -> None:
    ports = {port["name"] for container in containers() for port in container.get("ports", [])}
    services = {one["metadata"]["name"]: {port["name"] for port in one["spec"]["ports"]} for one in kinds("Service")}
    assert {port["targetPort"] for one in kinds("Service") for port in one["spec"]["ports"]} <= ports
    for one in kinds("Ingress"):
        for rule in one["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                assert service["port"]["name"] in services[service["name"]]


def test_what_pods_read_is_there() -> None:
    kept = {(one["kind"], one["metadata"]["name"]) for one in manifests()}
    for container in containers():
        for source in container["envFrom"]:
            (how, what), *_ = source.items()
            assert ({"configMapRef": "ConfigMap", "secretRef": "Secret"}[how], what["name"]) in kept
    for one in kinds("Deployment"):
        pod = one["spec"]["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for each in pod["containers"] for mount in each["volumeMounts"]} <= volumes


def test_probes_ask_what_the_api_answers() -> None:
    routes = {route.path for route in extras.router.routes if isinstance(route, APIRoute)}
    probed = {
        probe["httpGet"]["path"] for container in containers() for name, probe in container.items() if "Probe" in name
    }
    probed |= set(re.findall(r"127\.0\.0\.1:8000(/[\w/]+)", " ".join(one["value"] for one in dockerfile())))
    assert probed and probed <= routes


def test_containers_are_pinned_run_lipsmith_and_have_bounds() -> None:
    for container in containers():
        assert PINNED.fullmatch(container["image"])
        assert lipsmith_takes(container["args"])
        assert container["resources"]["limits"]["memory"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
    for one in kinds("Deployment"):
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["terminationGracePeriodSeconds"] >= 30


# Names


def test_every_variable_is_a_setting() -> None:
    """Whatever is set anywhere in deploy/ or told in docs/self-hosting.md."""
    known = {f"LIPSMITH_{one.name.upper()}" for one in fields(ServiceSettings)}
    known |= {f"LIPSMITH_{ENGINE_NAMES.get(one.name, one.name.upper())}" for one in fields(Settings)}
    files = [path for path in DEPLOY.rglob("*") if path.is_file()] + [ROOT / "docs" / "self-hosting.md"]
    used = {name: path.name for path in files for name in re.findall(r"LIPSMITH_[A-Z_]+", path.read_text())}
    assert used and not {name: used[name] for name in used.keys() - known}


def test_the_whole_example_is_taken_by_the_settings() -> None:
    config, secret = kinds("ConfigMap")[0]["data"], kinds("Secret")[0]["stringData"]
    settings = ServiceSettings.from_environment({**config, **secret})
    assert settings.database.startswith("postgresql+psycopg://")
    assert settings.public_base_url == config["LIPSMITH_PUBLIC_BASE_URL"]


def test_metrics_that_are_told_are_counted() -> None:
    told = set(re.findall(r"`(lipsmith_[a-z_]+)", (ROOT / "docs" / "self-hosting.md").read_text()))
    source = (ROOT / "src" / "lipsmith" / "service" / "metrics.py").read_text()
    counted = set(re.findall(r'"(lipsmith_[a-z_]+)"', source))
    assert told and {re.sub("_(total|bucket|sum|count)$", "", name) for name in told} <= counted


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
