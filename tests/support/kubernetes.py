"""As much of a Kubernetes as Helm asks when it installs a chart: it keeps what it is told to make."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_KINDS = {
    "v1": {"configmaps": "ConfigMap", "secrets": "Secret", "services": "Service"},
    "apps/v1": {"deployments": "Deployment"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
}
"""What there is, by group and version. Helm refuses a chart with anything else."""
_VERBS = ["create", "get", "list", "patch", "update"]
_JSON = "application/json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kubernetes:
    """Where it is, and what was made there."""

    url: str
    made: list[dict[str, Any]] = field(default_factory=list)

    def write_config(self, file: Path) -> None:
        """The kubeconfig to find it by."""
        named: dict[str, Any] = {
            "clusters": [{"name": "k", "cluster": {"server": self.url}}],
            "users": [{"name": "k", "user": {}}],
            "contexts": [{"name": "k", "context": {"cluster": "k", "user": "k"}}],
        }
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "k"} | named))


@contextmanager
def run_kubernetes() -> Iterator[Kubernetes]:
    """Serve until the block ends."""
    made: list[dict[str, Any]] = []
    paths = _describe()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """What kinds there are. Nothing was made before."""
            found = paths.get(self.path.partition("?")[0])
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            self._say(200 if found else 404, json.dumps(found or missing).encode(), _JSON)

        def do_POST(self) -> None:
            """Make an object. Helm's own notes of a release come in protobuf, and aren't the chart's."""
            raw, kind = self._read()
            if kind == _JSON:
                made.append(json.loads(raw))
            self._say(201, raw, kind)

        def do_PUT(self) -> None:
            """Change one: Helm notes that the release is there."""
            self._say(200, *self._read())

        def _read(self) -> tuple[bytes, str]:
            return self.rfile.read(int(self.headers["content-length"])), self.headers["content-type"]

        def _say(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield Kubernetes(url=f"http://127.0.0.1:{server.server_address[1]}", made=made)
        finally:
            server.shutdown()
            serving.join()


def _describe() -> dict[str, dict[str, Any]]:
    """The discovery documents, by path."""
    groups = [one.split("/") for one in _KINDS if "/" in one]
    told: dict[str, dict[str, Any]] = {
        "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1/namespaces/default/secrets": {"kind": "SecretList", "apiVersion": "v1", "items": []},
    }
    versions = {name: {"groupVersion": f"{name}/{version}", "version": version} for name, version in groups}
    listed = [{"name": name, "versions": [one], "preferredVersion": one} for name, one in versions.items()]
    told["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    for group, kinds in _KINDS.items():
        resources = [
            {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": _VERBS}
            for name, kind in kinds.items()
        ]
        path = f"/apis/{group}" if "/" in group else f"/api/{group}"
        told[path] = {"kind": "APIResourceList", "groupVersion": group, "resources": resources}
    return told
