"""A Ray of its own on this machine, with the application on one port: what `python -m radbridge_model_server` runs.

It joins no other cluster, has no dashboard, sends no usage statistics, and keeps its files in a temporary folder.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from radbridge.errors import ConfigError
from radbridge_model_server.settings import Settings

_OBJECT_STORE_BYTES = 100 * 2**20
_STORE_FOLDER = Path("/tmp")  # noqa: S108 - Ray's sockets need a path far below 107 bytes; mkdtemp makes it private
_GRACE_S = 5.0
"""What drafts under way get at the end: `supervise` kills what takes longer than ten seconds to stop."""
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_SERVE_ENABLE_TASK_EVENTS": "0",
    "RAY_DISABLE_WORKER_LOG_PREFIX": "1",  # the replica's log lines are JSON, and stay so
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",  # at 15, Ray's own, a start beside two busy processes took over 5 min, at 0 30 s
    "RAY_raylet_start_wait_time_s": "120",  # such a machine needs longer than Ray gives its own processes
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",  # by default one that takes 5 s is killed, and the start with it
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


class LocalServer:
    """The model server on `host:port`; port 0 takes a free one. `start`, `stop`, once each, from the main thread."""

    def __init__(self, host: str, port: int, settings: Settings) -> None:
        if settings.scale.max_replicas > 1:
            raise ConfigError(["scale.max_replicas: this command runs one replica; for more see deploy/README.md"])
        self.host = host
        self.port = _reserve(host, port)
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="rb-", dir=_STORE_FOLDER if _STORE_FOLDER.is_dir() else None))

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Returns when drafts are answered. Raises whatever Ray raises when they can't be."""
        os.environ.pop("RAY_ADDRESS", None)
        os.environ.update(_ENVIRONMENT)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # Ray reads it once in a process
        import ray
        from ray import serve
        from ray.serve.schema import LoggingConfig

        logging.getLogger("ray.serve").setLevel(logging.WARNING)

        from radbridge_model_server.app import bind

        ray.init(
            address="local",
            num_cpus=max(2, self._settings.threads),
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=True,
            logging_level=logging.WARNING,
            _temp_dir=str(self._folder),
            _node_ip_address="127.0.0.1",
        )
        serve.start(
            proxy_location="Disabled", logging_config=LoggingConfig(enable_access_log=False, log_level="WARNING")
        )
        app = bind(self._settings, grace_s=_GRACE_S, address=(self.host, self.port))
        serve.run(app, name="radbridge", route_prefix=None)

    def stop(self) -> None:
        """Answer what is under way, then end every process of this Ray."""
        import ray
        from ray import serve

        if ray.is_initialized():
            with suppress(Exception):
                serve.shutdown()
            ray.shutdown()
        self.clean()

    def clean(self) -> None:
        """Remove what Ray wrote."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _reserve(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError([f"--listen {host}:{port}: {error.strerror}; choose another port, or 0"]) from None
        return int(probe.getsockname()[1])
