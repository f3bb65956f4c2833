"""The gateway's deployment: container, compose, systemd and Helm agree with the program and give it no privilege."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from radbridge import __version__
from radbridge.cli.lazy import LazyGroup
from radbridge.config import load_site, split_address

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
UNIT = DEPLOY / "radbridge.service"
VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())
OURS = ("gateway-1", "gateway-2", "model")
UID = "10001"


def tool(name: str, package: str) -> str:
    """A program's path: without it the test is skipped, and with CI set it fails."""
    found = shutil.which(name)
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed")
    assert found, f"{name} is not installed: apt-get install {package}"
    return found


def render(template: Path) -> Iterator[dict[str, Any]]:
    """A template with the chart's own values. Ours use values, `quote` and `toJson`, and nothing else of Helm's.

    `tests/integration/test_chart.py` has Helm itself do it.
    """
    known = {".Release.Name": "rb", **{f".Values.{name}": value for name, value in VALUES.items()}}

    def fill(match: re.Match[str]) -> str:
        value = str(known[match["name"]])
        return json.dumps(value) if match["as"] else value

    once = re.sub(r"{{ (?P<name>\.[\w.]+)(?: \| (?P<as>quote|toJson))? }}", fill, template.read_text())
    assert "{{" not in once
    yield from yaml.safe_load_all(once)


MANIFESTS = [manifest for file in sorted((DEPLOY / "helm" / "templates").glob("*.yaml")) for manifest in render(file)]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in MANIFESTS if manifest["kind"] == kind]


@pytest.mark.parametrize("service", OURS)
def test_a_container_has_nothing_to_break_with(service: str) -> None:
    """Our containers write to no image, have no capabilities and gain none, and nobody's socket of the machine."""
    box = COMPOSE["services"][service]
    assert box["read_only"] is True
    assert box["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in box["security_opt"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices", "ports"} & box.keys()
    assert not any("docker.sock" in str(volume) for volume in box.get("volumes", []))


def test_only_haproxy_is_reached_from_outside() -> None:
    """The database and the model server are on a network that leads nowhere; ports are opened on loopback alone."""
    open_ports = {name: box["ports"] for name, box in COMPOSE["services"].items() if "ports" in box}
    assert open_ports.keys() == {"haproxy"}
    assert all(port.startswith("127.0.0.1:") for port in open_ports["haproxy"])
    assert COMPOSE["networks"]["back"]["internal"] is True
    assert COMPOSE["services"]["postgres"]["networks"] == COMPOSE["services"]["model"]["networks"] == ["back"]


def test_the_gateways_differ_by_their_names_alone() -> None:
    """Two gateways on one journal have names of their own, and are otherwise the same."""
    first, second = (dict(COMPOSE["services"][name]) for name in ("gateway-1", "gateway-2"))
    names = [box.pop("environment")["RADBRIDGE_CLUSTER__NAME"] for box in (first, second)]
    assert first == second
    assert names == ["gateway-1", "gateway-2"]


def test_no_secret_stands_in_a_file() -> None:
    """Passwords come from files that are not here."""
    assert COMPOSE["secrets"]["postgres_password"] == {"file": "./secrets/postgres_password"}
    assert not (DEPLOY / "compose" / "secrets").exists()
    for name, box in COMPOSE["services"].items():
        given = {k: v for k, v in (box.get("environment") or {}).items() if "PASSWORD" in k or "SECRET" in k}
        assert all(key.endswith("_FILE") for key in given), name


@pytest.mark.parametrize("place", ["compose", "helm"])
def test_the_site_is_one_that_starts(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site file is right, its ports are those that are opened, and its password is where the secret is put."""
    text = (DEPLOY / "compose" / "site.toml").read_text() if place == "compose" else VALUES["site"]
    monkeypatch.setenv("RADBRIDGE_CLUSTER__NAME", "radbridge-7c9f8d-x2x4z")
    (tmp_path / "site.toml").write_text(text)
    site = load_site(tmp_path / "site.toml")
    assert site.store.is_shared
    ports = {split_address(site.hl7v2.listen)[1], split_address(site.http.listen)[1]}
    assert ports <= {
        int(port) for port in re.findall(r"\d+", re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)[0])
    }
    assert site.store.password_file is not None
    (pod,) = of_kind("Deployment")
    mounts = {m["mountPath"] for m in pod["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
    where = {"/run/secrets"} if place == "compose" else mounts
    assert str(site.store.password_file.parent) in where
    assert f"127.0.0.1:{split_address(site.http.listen)[1]}/healthz" in DOCKERFILE


def test_the_image_holds_what_is_locked() -> None:
    """Every package is installed by its hash, our own by no index; it runs as a number, not as root."""
    installs = re.findall(r"pip install ([^\n]+)", DOCKERFILE)
    assert len(installs) == 3
    assert all("--require-hashes" in line or ("--no-deps" in line and "--no-index" in line) for line in installs)
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == [f"{UID}:{UID}"]
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for path in source.replace("${LOCK}", "gateway").split():
            assert (DEPLOY.parent / path).exists(), path


@pytest.mark.parametrize("command", [re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)[-1], UNIT.read_text()])
def test_what_is_started_is_a_command(command: str) -> None:
    """Container and unit start `radbridge up`, with the file where it is put."""
    assert "up" in LazyGroup().commands
    assert re.search(r'"?up"?,? "?--config"?,? "?/etc/radbridge/site.toml', command)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Systemd knows every key of it, and rates what is left to attack at 2 of 10 or less."""
    analyze = tool("systemd-analyze", "systemd")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/radbridge/bin/radbridge", sys.executable))
    checked = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert UNIT.name not in checked.stderr, checked.stderr
    rated = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout


def test_haproxy_takes_its_file() -> None:
    """Haproxy itself reads its configuration, and its servers are the gateways. Debian: `apt-get install haproxy`."""
    path = DEPLOY / "compose" / "haproxy.cfg"
    servers = set(re.findall(r"^ +server (\S+) \1:(\d+)$", path.read_text(), re.MULTILINE))
    assert servers == {(name, port) for name in ("gateway-1", "gateway-2") for port in ("2575", "8080")}
    ran = subprocess.run(
        [tool("haproxy", "haproxy"), "-c", "-f", str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_a_pod_has_nothing_to_break_with() -> None:
    """A pod is no root, gains nothing, writes to its own folders alone, and has no key to the cluster."""
    (deployment,) = of_kind("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (box,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert str(pod["securityContext"]["runAsUser"]) == UID
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert box["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert not any("hostPath" in volume for volume in pod["volumes"])
    named = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in box["volumeMounts"]} == named


def test_a_pod_lives_by_the_images_own_check() -> None:
    """Kubernetes asks as the image does: so a site with TLS, or one that wants certificates, comes up too."""
    (command,) = re.findall(r"^HEALTHCHECK .*\\\n +CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    (deployment,) = of_kind("Deployment")
    (box,) = deployment["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe"):
        assert box[probe]["exec"]["command"] == json.loads(command)
        assert box[probe]["timeoutSeconds"] == 5


def test_the_charts_parts_find_each_other() -> None:
    """Services, budget and policy choose the pods; the site is the chart's own; the version is RadBridge's."""
    (deployment,) = of_kind("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    chosen = [service["spec"]["selector"] for service in of_kind("Service")]
    chosen += [each["spec"]["selector"]["matchLabels"] for each in of_kind("PodDisruptionBudget")]
    chosen += [each["spec"]["podSelector"]["matchLabels"] for each in of_kind("NetworkPolicy")]
    assert len(chosen) == 4
    assert all(selector.items() <= labels.items() for selector in chosen)
    ports = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for service in of_kind("Service") for port in service["spec"]["ports"]} == ports
    (site,) = of_kind("ConfigMap")
    assert site["data"]["site.toml"] == VALUES["site"]
    chart = yaml.safe_load((DEPLOY / "helm" / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
