"""The Ray Serve application.

serve run radbridge_model_server.app:build config=/etc/radbridge/model.yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.schema import LoggingConfig

from radbridge_model_server.api import build_api
from radbridge_model_server.service import start_service
from radbridge_model_server.settings import Settings, load_settings

_HEALTH_TIMEOUT_S = 60
"""Serve kills a replica whose check takes longer; a busy one must not look dead (ray#54070)."""
_ROOM = 64
"""Requests beyond batch and queue that still reach the replica, to be told 429 in the contract's own words."""


@serve.ingress()
class ModelServer:
    """One replica: one engine, in its own thread, and the HTTP interface to it."""

    async def __init__(self, settings: dict[str, Any]) -> None:  # type: ignore[misc] # Serve awaits it
        self._service = await start_service(Settings(**settings))

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve once the replica is constructed."""
        return build_api(self._service)

    def check_health(self) -> None:
        """Called by Serve; raises when the engine's loop stands still."""
        if self._service.engine is not None:
            self._service.engine.check_health()


def build(args: dict[str, str]) -> Application:
    """The application, configured by the YAML file that `args["config"]` names. Raises ConfigError."""
    config = args.get("config")
    return bind(load_settings(Path(config) if config else None))


def bind(settings: Settings) -> Application:
    """The application with these settings, ready for `serve.run`."""
    deployment: Any = serve.deployment(
        ModelServer,
        name="drafts",
        max_ongoing_requests=settings.max_batch + settings.max_queue + _ROOM,
        health_check_period_s=10,
        health_check_timeout_s=_HEALTH_TIMEOUT_S,
        max_constructor_retry_count=2,
        graceful_shutdown_timeout_s=5,
        graceful_shutdown_wait_loop_s=0.1,
        ray_actor_options={"num_cpus": 1, "num_gpus": 1 if settings.device == "cuda" else 0},
        logging_config=LoggingConfig(enable_access_log=False),
    )
    application: Application = deployment.bind(settings.model_dump(mode="json"))
    return application
