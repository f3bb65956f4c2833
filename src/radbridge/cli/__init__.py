"""The `radbridge` command. Wires add commands of their own under the entry-point group `radbridge.commands`."""
