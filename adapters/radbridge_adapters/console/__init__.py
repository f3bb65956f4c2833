"""The HTTP port: liveness, readiness, metrics. Entry point `radbridge.http`."""

from radbridge_adapters.console.server import HttpServer

__all__ = ["HttpServer"]
