"""Helm installs a chart at a Kubernetes: `install.py CHART KUBECONFIG`, with the values as JSON on standard input.

Runs in the environment of requirements.txt. What Helm finds wrong is told on standard error, with status 1.
"""

from __future__ import annotations

import asyncio
import json
import sys

import helm_sdkpy

_WARNING = 2
"""Helm's severities: unknown, info, warning, error."""


async def main(chart: str, kubeconfig: str) -> None:
    """Lint, then install as release `rb`."""
    config = helm_sdkpy.Configuration(namespace="default", kubeconfig=kubeconfig)
    found = await helm_sdkpy.Lint(config).run(chart)
    wrong = [each for each in found["Messages"] or () if each["Severity"] >= _WARNING]
    if wrong or found["Errors"]:
        raise SystemExit(f"lint: {wrong or found['Errors']}")
    try:
        await helm_sdkpy.Install(config).run("rb", chart, json.load(sys.stdin), wait=False, timeout=600)
    except helm_sdkpy.HelmError as error:
        raise SystemExit(f"install: {error}") from None


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
