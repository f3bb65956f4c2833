"""deploy/helm and deploy/compose as Helm, Kubernetes and Compose read them: their own code and their own schemas."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.kubernetes import run_kubernetes
from tests.unit.test_deploy_gateway import MANIFESTS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART, COMPOSE, KUBERAY = DEPLOY / "helm", DEPLOY / "compose" / "compose.yaml", DEPLOY / "kuberay"
SCRIPTS = ROOT / "tests" / "charts"
PYTHON = Path(sys.prefix) / "charts" / "bin" / "python"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
OLDEST, NEWEST = "1.29", "1.37"
"""Versions of Kubernetes that are still run somewhere."""
OTHERS: dict[str, Any] = {
    "image": "registry.example:5000/radbridge@sha256:" + "0" * 64,
    "replicas": 3,
    "existingSecret": "0042",
    "serviceType": "NodePort",
    "allowFrom": "2001:db8::/32",
    "databaseCidr": "192.0.2.7/32",
    "memory": "2Gi",
    "cpu": 2,
    "site": '  # "indented", with {{ .Values.image }}, \\t and umlauts: ü\n\n[store]\nurl = "postgresql+psycopg://x/y"\n',
}
"""Every value, and none as the chart has it: a name that looks like a number, a site that looks like a template."""


async def tell(script: list[str], said: Any = None) -> tuple[int, str]:
    """The status of a script of `.venv/charts`, and what it told."""
    if not PYTHON.exists():
        missing = f"no {PYTHON}: run `make test`, which makes it"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    process = await asyncio.create_subprocess_exec(
        PYTHON, *script, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await process.communicate(json.dumps(said).encode())
    assert process.returncode is not None
    return process.returncode, told.decode()


async def install(folder: Path, chart: Path = CHART, **values: Any) -> list[dict[str, Any]]:
    """What Helm makes of a chart with these values."""
    with run_kubernetes() as kubernetes:
        kubernetes.write_config(folder / "kubeconfig")
        status, told = await tell([str(SCRIPTS / "install.py"), str(chart), str(folder / "kubeconfig")], values)
    assert status == 0, told
    return kubernetes.made


def of_kind(made: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in made if each["kind"] == kind]


@pytest.mark.parametrize("values", [{}, OTHERS], ids=["as it is", "all others"])
async def test_helm_installs_the_chart(tmp_path: Path, values: dict[str, Any]) -> None:
    """Helm finds nothing to warn of, and Kubernetes, old or new, knows every field of what it makes."""
    assert OTHERS.keys() == VALUES.keys()
    made = await install(tmp_path, **values)
    kinds = ["ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "Service"]
    assert sorted(each["kind"] for each in made) == kinds
    for version in (OLDEST, NEWEST):
        assert await tell([str(SCRIPTS / "validate.py"), version], made) == (0, "")


async def test_it_is_what_the_other_tests_read(tmp_path: Path) -> None:
    """What `test_deploy_gateway` renders by itself to look at, Helm makes of the chart too."""
    made = await install(tmp_path)
    for each in made:  # Helm's own marks
        about = each["metadata"]
        about["labels"].pop("app.kubernetes.io/managed-by")
        assert about.pop("annotations").keys() == {"meta.helm.sh/release-name", "meta.helm.sh/release-namespace"}
        assert about.pop("namespace") == "default"
        if not about["labels"]:
            del about["labels"]
    assert sorted(made, key=str) == sorted(MANIFESTS, key=str)


async def test_every_value_is_used(tmp_path: Path) -> None:
    """Each value of the chart arrives where it belongs, whatever characters it has."""
    made = await install(tmp_path, **OTHERS)
    (deployment,) = of_kind(made, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (box,) = pod["containers"]
    (policy,) = of_kind(made, "NetworkPolicy")
    secrets = next(volume["secret"] for volume in pod["volumes"] if volume["name"] == "secrets")
    found = {
        "image": box["image"],
        "replicas": deployment["spec"]["replicas"],
        "existingSecret": secrets["secretName"],
        "serviceType": next(s["spec"]["type"] for s in of_kind(made, "Service") if s["metadata"]["name"] == "rb-mllp"),
        "allowFrom": policy["spec"]["ingress"][0]["from"][0]["ipBlock"]["cidr"],
        "databaseCidr": policy["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"],
        "memory": box["resources"]["requests"]["memory"],
        "cpu": int(box["resources"]["requests"]["cpu"]),
        "site": of_kind(made, "ConfigMap")[0]["data"]["site.toml"],
    }
    assert found == OTHERS
    assert box["resources"]["limits"] == {"memory": OTHERS["memory"]}


async def test_kubernetes_knows_what_ray_runs_on() -> None:
    """Every object of deploy/kuberay but Ray's own kind has only fields that Kubernetes knows."""
    found = [one for file in sorted(KUBERAY.glob("*.yaml")) for one in yaml.safe_load_all(file.read_text())]
    plain = [one for one in found if not one["apiVersion"].startswith("ray.io/")]
    assert {one["kind"] for one in plain} == {"ConfigMap", "CronJob", "NetworkPolicy"}
    assert await tell([str(SCRIPTS / "validate.py"), NEWEST], plain) == (0, "")


async def test_a_field_that_kubernetes_has_not() -> None:
    """The schemas are as strict as that: a misspelt field, which a cluster would pass over, is told."""
    policy = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"prots": []}}
    status, told = await tell([str(SCRIPTS / "validate.py"), NEWEST], [policy])
    assert status == 1
    assert "'prots' was unexpected" in told


@pytest.mark.parametrize(("fault", "status"), [("", 0), ("read_onyl", 1)], ids=["as it is", "misspelt"])
async def test_compose_knows_every_key(tmp_path: Path, fault: str, status: int) -> None:
    """compose.yaml is one by the Compose specification's own schema, which tells a key that it hasn't."""
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE.read_text().replace("read_only", fault or "read_only"))
    checked = await tell(["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)])
    assert checked[0] == status, checked
    assert fault in checked[1]
