"""The Ray Serve application.

serve run radbridge_model_server.app:build config=/etc/radbridge/model.yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, BackpressureConfig
from ray.serve.schema import LoggingConfig
from ray.util import get_node_ip_address
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radbridge import logs
from radbridge.errors import ConfigError
from radbridge_model_server.router import OwnerRouter
from radbridge_model_server.service import start_service
from radbridge_model_server.settings import Scale, Settings, load_settings
from radbridge_model_server.web.api import build_api
from radbridge_model_server.web.listener import listen

DEPLOYMENT = "drafts"
REPLICA_HEADER = "x-replica"
"""Of every answer: the replica that gave it, and its machine, as `k3v9x2ab@10.0.0.7`."""

_HEALTH_PERIOD_S = 2
"""After three failures in a row Serve replaces a replica: this leaves a draft's eight seconds time for another one."""
_HEALTH_TIMEOUT_S = 60
"""Serve kills a replica whose check takes longer; a busy one must not look dead (ray#54070)."""
_ROOM = 64
"""Requests beyond batch and queue that still reach the replica, to be told 429 in the contract's own words.

As many may wait in a proxy: each one does while its replica is sought, so a low limit would refuse mere bursts.
"""
_GRACE_S = 5.0
"""On top of a draft's deadline, for a replica that is to stop."""
_CLOSING_S = 3.0
"""On top of the grace, for the engine to end before Serve kills the replica."""
_UPSCALE_AFTER_S = 10.0
_DOWNSCALE_AFTER_S = 300.0
"""A replica takes its LoRAs with it: it goes only after a long calm."""


@serve.ingress()
class ModelServer:
    """One replica: one engine, in its own thread, and the HTTP interface to it."""

    async def __init__(  # type: ignore[misc] # Serve awaits it
        self, settings: dict[str, Any], address: tuple[str, int] | None = None, grace_s: float = _GRACE_S
    ) -> None:
        logs.configure()
        self._service = await start_service(Settings(**settings))
        self._listener = await listen(self._build_api(echo=True), *address, grace_s=grace_s) if address else None

    async def __del__(self) -> None:
        """Called by Serve when the replica is to stop and has answered what came through its proxy."""
        if self._listener:
            await self._listener.close()
        await self._service.close()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve once the replica is constructed."""
        return self._build_api(echo=False)

    def check_health(self) -> None:
        """Called by Serve; raises when the engine's loop stands still, or nobody listens at the replica's address."""
        if self._listener:
            self._listener.check_health()
        if self._service.engine is not None:
            self._service.engine.check_health()

    def _build_api(self, *, echo: bool) -> FastAPI:
        api = build_api(self._service, echo_request_id=echo)
        api.add_middleware(ReplicaName, name=_name_replica())
        return api


class ReplicaName:
    """ASGI middleware that adds `REPLICA_HEADER` to every answer."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._header = (REPLICA_HEADER.encode(), name.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), self._header]
            await send(message)

        await self._app(scope, receive, send_named)


def build(args: dict[str, str]) -> Application:
    """The application, configured by the YAML file that `args["config"]` names. Raises ConfigError."""
    if unknown := sorted(args.keys() - {"config"}):
        raise ConfigError([f"args.{key}: unknown; the one argument is config, a file's path" for key in unknown])
    config = args.get("config")
    return bind(load_settings(Path(config) if config else None))


def bind(settings: Settings, *, grace_s: float | None = None, address: tuple[str, int] | None = None) -> Application:
    """The application with these settings, ready for `serve.run`.

    A replica that is to stop may finish what it drafts for `grace_s` seconds; None: for as long as a draft may take.
    With an `address` it listens there itself: for one replica, without Serve's proxies.
    """
    grace_s = settings.deadline_s + _GRACE_S if grace_s is None else grace_s
    room = settings.max_batch + settings.max_queue + _ROOM
    deployment: Any = serve.deployment(
        ModelServer,
        name=DEPLOYMENT,
        max_ongoing_requests=room,
        max_queued_requests=room,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        request_router_config={
            "request_router_class": OwnerRouter,
            "request_router_kwargs": {"spread": settings.scale.spread},
        },
        health_check_period_s=_HEALTH_PERIOD_S,
        health_check_timeout_s=_HEALTH_TIMEOUT_S,
        max_constructor_retry_count=2,
        graceful_shutdown_timeout_s=grace_s + _CLOSING_S,
        graceful_shutdown_wait_loop_s=0.1,
        ray_actor_options={"num_cpus": settings.scale.cpus, "num_gpus": count_gpus(settings)},
        logging_config=LoggingConfig(enable_access_log=False),
        **_count_replicas(settings.scale),
    )
    application: Application = deployment.bind(settings.model_dump(mode="json"), address, grace_s)
    return application


def count_gpus(settings: Settings) -> float:
    """GPUs of one replica: as configured, else as many as its engine spreads the model over."""
    if settings.scale.gpus is not None:
        return settings.scale.gpus
    if settings.device != "cuda":
        return 0
    return settings.vllm.tensor_parallel_size if settings.engine == "vllm" else 1


def _count_replicas(scale: Scale) -> dict[str, Any]:
    if scale.min_replicas == scale.max_replicas:
        return {"num_replicas": scale.min_replicas}
    return {
        "autoscaling_config": AutoscalingConfig(
            min_replicas=scale.min_replicas,
            max_replicas=scale.max_replicas,
            target_ongoing_requests=scale.target_requests,
            upscale_delay_s=_UPSCALE_AFTER_S,
            downscale_delay_s=_DOWNSCALE_AFTER_S,
        )
    }


def _name_replica() -> str:
    return f"{serve.get_replica_context().replica_id.unique_id}@{get_node_ip_address()}"
