"""What deploy/ holds: Ray's own schema takes it, the model server takes its settings, and the parts agree."""

from __future__ import annotations

import re
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.deployment import deployment_to_schema
from ray.serve.schema import HTTPOptionsSchema, LoggingConfig, ServeApplicationSchema, ServeDeploySchema

from radbridge.config import check_training, load_site
from radbridge.errors import ConfigError
from radbridge_model_server.app import bind, build
from radbridge_model_server.settings import PACKAGED, Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIG_MAP, SERVICE, POLICY = yaml.safe_load_all((DEPLOY / "kuberay" / "rayservice.yaml").read_text())
CLUSTER: dict[str, Any] = SERVICE["spec"]["rayClusterConfig"]
HEAD = CLUSTER["headGroupSpec"]
(WORKERS,) = CLUSTER["workerGroupSpecs"]
SERVE_CONFIGS: dict[str, dict[str, Any]] = {
    "serve.yaml": yaml.safe_load((DEPLOY / "serve.yaml").read_text()),
    "rayservice.yaml": yaml.safe_load(SERVICE["spec"]["serveConfigV2"]),
}
TRAIN_MAP, CRON_JOB = yaml.safe_load_all((DEPLOY / "kuberay" / "train-cronjob.yaml").read_text())
TRAIN: dict[str, Any] = CRON_JOB["spec"]["jobTemplate"]["spec"]
RECIPE = (DEPLOY / "two-nodes.md").read_text()
PACKAGED_BASE = {"base": str(PACKAGED / "base"), "persona_loras": str(PACKAGED / "loras"), "loras": None}


@pytest.mark.parametrize("config", SERVE_CONFIGS.values(), ids=list(SERVE_CONFIGS))
def test_ray_takes_the_serve_config(config: dict[str, Any]) -> None:
    """Ray's own schema accepts it, and knows every key: it would pass over a misspelt one in silence."""
    schema = ServeDeploySchema(**config)
    (application,) = schema.applications
    assert application.route_prefix == "/"
    assert config.keys() <= ServeDeploySchema.model_fields.keys()
    assert config["http_options"].keys() <= HTTPOptionsSchema.model_fields.keys()
    assert config["logging_config"].keys() <= LoggingConfig.model_fields.keys()
    assert config["applications"][0].keys() <= ServeApplicationSchema.model_fields.keys()


@pytest.mark.parametrize("config", SERVE_CONFIGS.values(), ids=list(SERVE_CONFIGS))
def test_no_access_log_is_kept(config: dict[str, Any]) -> None:
    """Neither the proxy nor the controller writes a line for a request."""
    assert config["logging_config"]["enable_access_log"] is False


@pytest.mark.parametrize("config", SERVE_CONFIGS.values(), ids=list(SERVE_CONFIGS))
def test_the_import_path_builds_the_server(config: dict[str, Any], tmp_path: Path) -> None:
    """What Serve imports makes the application out of the arguments that the config gives."""
    (application,) = config["applications"]
    module, _, name = application["import_path"].partition(":")
    args = application["args"]
    settings = tmp_path / "model.yaml"
    settings.write_text("engine: echo")
    assert getattr(import_module(module), name)({key: str(settings) for key in args})


def test_the_pods_settings_are_settings() -> None:
    """The ConfigMap's file is at the path that the Serve config names, and every key of it is one of the server's."""
    ((file, text),) = CONFIG_MAP["data"].items()
    (application,) = SERVE_CONFIGS["rayservice.yaml"]["applications"]
    assert application["args"]["config"] == f"/etc/radbridge/{file}"
    settings = Settings(**yaml.safe_load(text) | PACKAGED_BASE)
    for group in (HEAD, WORKERS):
        assert mounts(group)["settings"] == "/etc/radbridge"
        for path in (yaml.safe_load(text)["base"], yaml.safe_load(text)["loras"]):
            assert any(path.startswith(mount) for mount in mounts(group).values())
    assert settings.scale.max_replicas <= WORKERS["maxReplicas"]


def test_a_worker_holds_one_replica() -> None:
    """A worker pod asks for what one replica asks Ray for: as many GPUs, and no fewer CPUs."""
    settings = Settings(**yaml.safe_load(CONFIG_MAP["data"]["model.yaml"]) | PACKAGED_BASE)
    replica = options_of(settings)
    limits = container(WORKERS)["resources"]["limits"]
    assert limits == container(WORKERS)["resources"]["requests"]
    assert replica["num_gpus"] == int(limits["nvidia.com/gpu"])
    assert replica["num_cpus"] <= int(limits["cpu"]) < 2 * replica["num_cpus"]
    assert HEAD["rayStartParams"]["num-gpus"] == "0", "no replica on the head"


@pytest.mark.parametrize("group", [HEAD, WORKERS], ids=["head", "worker"])
def test_pods_run_without_privilege(group: dict[str, Any]) -> None:
    """No pod runs as root, gains privileges or writes to models and LoRAs."""
    pod = group["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container(group)["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    for volume in pod["volumes"]:
        assert "hostPath" not in volume
        assert volume.get("persistentVolumeClaim", {"readOnly": True})["readOnly"] is True


def test_only_the_gateway_gets_in() -> None:
    """The network policy covers every pod, and opens port 8000 to the gateway alone."""
    chosen = POLICY["spec"]["podSelector"]["matchLabels"]
    for group in (HEAD, WORKERS):
        assert chosen.items() <= group["template"]["metadata"]["labels"].items()
    doors = [rule for rule in POLICY["spec"]["ingress"] if {"protocol": "TCP", "port": 8000} in rule.get("ports", [])]
    assert [door["from"] for door in doors] == [[{"podSelector": {"matchLabels": {"app": "radbridge-gateway"}}}]]


def test_pods_and_machines_run_the_same_ray() -> None:
    """The Ray that is named is the installed one, and the environment of pods and of machines agrees."""
    assert CLUSTER["rayVersion"] == metadata.version("ray")
    assert CLUSTER["authOptions"] == {"mode": "token"}
    pods = {e["name"]: e["value"] for e in container(HEAD)["env"]}
    assert container(WORKERS)["env"] == container(HEAD)["env"]
    machines = dict(re.findall(r"^([A-Za-z_]+)=(\S+)", RECIPE, re.MULTILINE))
    assert machines["RAY_AUTH_MODE"] == "token"
    assert pods.items() <= machines.items()


def test_turns_never_run_side_by_side() -> None:
    """The job waits for the one before it, isn't suspended, and is tried again only where that may help."""
    job = CRON_JOB["spec"]
    assert (job["concurrencyPolicy"], job["suspend"]) == ("Forbid", False)
    (rule,) = TRAIN["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [2, 3])
    assert TRAIN["template"]["spec"]["restartPolicy"] == "Never"


def test_the_training_job_finds_what_it_needs(tmp_path: Path) -> None:
    """Its site file is one with which training can begin, and what that names lies on volumes that it may write to."""
    pod = TRAIN["template"]["spec"]
    command = container(TRAIN)["command"]
    ((file, text),) = TRAIN_MAP["data"].items()
    assert command == ["radbridge", "train", "run", "--config", f"/etc/radbridge/{file}"]
    (tmp_path / file).write_text(text)
    site = load_site(tmp_path / file)
    assert check_training(site) == []
    writable = [m["mountPath"] for m in container(TRAIN)["volumeMounts"] if not m.get("readOnly")]
    for path in (site.store.url.removeprefix("sqlite:///"), str(site.model.loras), str(site.training.work)):
        assert any(path.startswith(mount) for mount in writable)
    ((model, _),) = CONFIG_MAP["data"].items()
    assert str(site.training.server) == f"{mounts(TRAIN)['model']}/{model}"
    assert {"configMap": {"name": CONFIG_MAP["metadata"]["name"]}, "name": "model"} in pod["volumes"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container(TRAIN)["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_an_unknown_argument_is_told() -> None:
    """A misspelt argument must not serve the defaults in silence."""
    with pytest.raises(ConfigError, match=r"args\.configs: unknown"):
        build({"configs": "/etc/radbridge/model.yaml"})


def test_a_wrong_file_is_told_with_its_key(tmp_path: Path) -> None:
    """What `serve status` shows ends with the file, the key and the fault."""
    path = tmp_path / "model.yaml"
    path.write_text("scale: {cpu: 2}")
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))}: scale\.cpu: Extra inputs"):
        build({"config": str(path)})


@pytest.mark.parametrize(
    ("settings", "gpus"),
    [
        ({}, 0),
        ({"device": "cuda"}, 1),
        ({"device": "cuda", "engine": "vllm", "vllm": {"tensor_parallel_size": 4}}, 4),
        ({"device": "cuda", "engine": "vllm", "scale": {"gpus": 0.5}}, 0.5),
    ],
)
def test_a_replica_gets_the_gpus_of_its_engine(settings: dict[str, Any], gpus: float) -> None:
    """One GPU with `device: cuda`, as many as the model is spread over, or what is configured."""
    assert options_of(Settings(**settings))["num_gpus"] == gpus


def test_replicas_are_fixed_or_follow_the_load() -> None:
    """Equal limits are a fixed number; others let Serve scale between them, slowly downwards."""
    fixed = deployment_of(Settings(scale={"min_replicas": 3, "max_replicas": 3}))
    assert fixed.num_replicas == 3
    scaled = deployment_of(Settings(scale={"max_replicas": 3, "target_requests": 5}))
    config = scaled.autoscaling_config
    assert (config.min_replicas, config.max_replicas, config.target_ongoing_requests) == (1, 3, 5)
    assert config.downscale_delay_s > config.upscale_delay_s


def test_a_stopping_replica_may_finish_its_drafts() -> None:
    """A replica that is to go gets longer than a draft may take, unless it is told otherwise."""
    settings = Settings(deadline_s=20)
    assert deployment_of(settings).graceful_shutdown_timeout_s > 20
    assert deployment_of(settings, grace_s=5).graceful_shutdown_timeout_s < 10


def deployment_of(settings: Settings, **more: Any) -> Any:
    """The deployment as Serve's own schema shows it."""
    return deployment_to_schema(bind(settings, **more)._bound_deployment)  # noqa: SLF001 - Ray shows it nowhere else


def options_of(settings: Settings) -> dict[str, Any]:
    options = deployment_of(settings).ray_actor_options
    return dict(options.model_dump(exclude_unset=True))


def container(group: dict[str, Any]) -> dict[str, Any]:
    (only,) = group["template"]["spec"]["containers"]
    return dict(only)


def mounts(group: dict[str, Any]) -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in container(group)["volumeMounts"]}
