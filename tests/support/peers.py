"""Peers from npm that nobody here wrote: two FHIR validators, a FHIR server, clients. `tests/peers` has their side.

`make test` installs them into `.venv/peers`. Scripts are copied there too, for Node looks for packages beside a script.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

SCRIPTS = Path(__file__).parents[1] / "peers"
INSTALLED = Path(sys.prefix) / "peers"
_START_S = 60.0
_LINE_BYTES = 1 << 24


def script(name: str) -> list[str]:
    """The command that runs `tests/peers/<name>`. Raises FileNotFoundError that says what to install."""
    node = shutil.which("node")
    if node is None or not (INSTALLED / "node_modules").is_dir():
        raise FileNotFoundError(f"no {'Node.js' if node is None else INSTALLED}: run `make test`, which installs it")
    fresh = INSTALLED / f".{name}.{os.getpid()}"
    shutil.copyfile(SCRIPTS / name, fresh)
    fresh.replace(INSTALLED / name)  # in one step: two test runs may copy at once
    return [node, str(INSTALLED / name)]


class Validator:
    """Both validators as one process: `with Validator() as validator: assert not validator.problems(resource)`."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            script("validator.mjs"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def problems(self, resource: Mapping[str, Any]) -> list[str]:
        """What either validator finds wrong: `medplum DiagnosticReport.status: …`."""
        return [f"{who} {what}" for who, found in self.by_validator(resource).items() for what in found]

    def by_validator(self, resource: Mapping[str, Any]) -> dict[str, list[str]]:
        """`{"medplum": [...], "lantana": [...]}`."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the validator has no pipes")
        self._process.stdin.write(json.dumps(resource) + "\n")
        self._process.stdin.flush()
        found: dict[str, list[str]] = json.loads(self._process.stdout.readline())
        return found


@asynccontextmanager
async def running(name: str, *args: str, **environment: str) -> AsyncIterator[tuple[Any, asyncio.subprocess.Process]]:
    """A script that prints a JSON line once it is ready: that line, and the process to read more from."""
    process = await asyncio.create_subprocess_exec(
        *script(name),
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | environment,
        limit=_LINE_BYTES,
    )
    try:
        yield await said(process), process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> Any:
    """The next JSON line of a running script."""
    if process.stdout is None:
        raise RuntimeError("the script has no standard output")
    async with asyncio.timeout(_START_S):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"the script ended with {await process.wait()}")
    return json.loads(line)


@asynccontextmanager
async def fhir_server(*, bearer: str = "", breaks: str = "", port: int = 0) -> AsyncIterator[str]:
    """A hospital's FHIR server; its base URL.

    With `bearer` every request has to carry that token; with `breaks` it breaks a promise of the draft contract.
    """
    async with running("fhir_server.mjs", PORT=str(port), BEARER=bearer, BREAKS=breaks) as (ready, _):
        yield f"http://127.0.0.1:{ready['port']}/fhir/R4"


async def run_script(name: str, *args: str) -> Any:
    """Run a script to its end: the JSON it printed. Raises AssertionError with what it said on standard error."""
    process = await asyncio.create_subprocess_exec(
        *script(name), *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise AssertionError(err.decode(errors="replace"))
    return json.loads(out)
