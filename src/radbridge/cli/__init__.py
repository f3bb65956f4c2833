"""The `radbridge` command. Wires add commands of their own under the entry-point group `radbridge.commands`."""

from radbridge.cli.app import app

__all__ = ["app"]
