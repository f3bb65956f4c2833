"""The command `radbridge` on a machine that stands still for seconds: a collector of traces gets a minute to answer in.

For `GatewayProcess(module="tests.support.patient")`. A batch of spans is sent once, and no site would wait so long.
"""

from __future__ import annotations

from radbridge.cli.app import app
from radbridge_adapters import otlp

if __name__ == "__main__":
    otlp.TIMEOUT_S = 60.0
    app(prog_name="radbridge")
