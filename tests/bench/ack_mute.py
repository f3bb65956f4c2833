"""A gateway whose bells other gateways don't hear: `python -m tests.bench.ack_mute up --config site.toml`.

What is rung is heard in its own process, as always; nothing is sent by NOTIFY, and others find work when they look.
"""

from __future__ import annotations

from radbridge.cli.app import app
from radbridge.journal.bells import LocalBells, PostgresBells

PostgresBells.ring = LocalBells.ring  # type: ignore[method-assign]  # what NOTIFY costs is the difference

if __name__ == "__main__":
    app(prog_name="radbridge")
