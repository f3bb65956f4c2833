"""What is installed beside the core, by entry point.

radbridge.adapters        (site, desk) -> Wire
radbridge.http            (site, status) -> Listener
radbridge.model_clients   (url, timeout_s, trust) -> ModelClient
radbridge.tracers         (traces, gateway) -> Tracer
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from radbridge.config import Site
from radbridge.config.tls import Trust
from radbridge.errors import ConfigError
from radbridge.flow.drafting import ModelClient
from radbridge.wire import Desk, Wire


def load_entry_points(group: str) -> dict[str, Any]:
    """Everything installed under `group`, by name. Raises ConfigError for what can't be imported."""
    found: dict[str, Any] = {}
    for point in sorted(entry_points(group=group), key=lambda p: p.name):
        found[point.name] = _load(point)
    return found


def make_wires(site: Site, desk: Desk) -> list[Wire]:
    """Every installed wire, for this site."""
    return [make(site, desk) for make in load_entry_points("radbridge.adapters").values()]


def make_model_client(url: str, timeout_s: float, trust: Trust | None = None) -> ModelClient:
    """A client of the model server at `url`."""
    client: ModelClient = load_entry_points("radbridge.model_clients")["http"](url, timeout_s, trust or Trust())
    return client


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise ConfigError([f"{point.group}: {point.name} ({point.value}) can't be loaded: {error}"]) from error
