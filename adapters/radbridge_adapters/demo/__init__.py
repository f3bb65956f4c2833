"""The demo: a small hospital around a real gateway, so that the whole line can be seen working over real sockets."""

from radbridge_adapters.demo.command import demo

__all__ = ["demo"]
