"""The demo's gateway: `radbridge up` in a process and a folder of its own, on ports that the system gave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from radbridge.errors import RadBridgeError
from radbridge_adapters.demo.script import Script

START_S = 300.0
"""A first start may have to load a model from a cold disk."""
STOP_S = 30.0
_POLL_S = 0.2


class DemoFailed(RadBridgeError):
    """The demo did not get through."""


class DemoGateway:
    """`async with DemoGateway(folder, script, dictation_port, say) as gateway`: ready once inside."""

    def __init__(self, folder: Path, script: Script, dictation_port: int, say: Callable[[str], None]) -> None:
        self.config = folder / "site.toml"
        self.log = folder / "gateway.log"
        self.store = f"sqlite:///{folder / 'radbridge.db'}"
        self.addresses: Mapping[str, str] = {}
        self._say = say
        self.config.write_text(_site(self.store, script, dictation_port), encoding="utf-8")

    async def __aenter__(self) -> Self:
        """Raises DemoFailed with the last lines of the log when it doesn't get ready."""
        self._say("starting the gateway")
        with self.log.open("wb") as sink:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "radbridge", "up", "--config", str(self.config)),
                stdout=sink,
                stderr=sink,
                env={**os.environ, "RADBRIDGE_LOG__LEVEL": "info", "RADBRIDGE_LOG__FORMAT": "json"},  # it is read here
                start_new_session=True,  # Ctrl-C is for the demo; it stops the gateway in order
            )
        try:
            async with asyncio.timeout(START_S):
                self.addresses = await self._listening()
                self._say("loading the model")
                await self._ready()
        except TimeoutError:
            await self._stop()
            raise DemoFailed(f"the gateway was not ready within {START_S:g} s:\n{self._tail()}") from None
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _listening(self) -> Mapping[str, str]:
        """The addresses that the gateway logs once it listens."""
        while True:
            for said in self._logged():
                if said.get("event") == "up":
                    return dict(said["listeners"])
            await self._pause()

    async def _ready(self) -> None:
        async with httpx.AsyncClient(base_url=f"http://{self.addresses['http']}", timeout=10) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/readyz")).status_code == httpx.codes.OK:
                        return
                await self._pause()

    async def _pause(self) -> None:
        """Wait a little, unless there is nothing to wait for: the gateway ended, or reports an error."""
        if self._process.returncode is not None:
            raise DemoFailed(f"the gateway ended with status {self._process.returncode}:\n{self._tail()}")
        for said in self._logged():
            if said.get("level") in {"error", "critical"}:
                raise DemoFailed(f"the gateway says: {said['event']}\n{said.get('exception', '')}")
        await asyncio.sleep(_POLL_S)

    def _logged(self) -> Iterator[dict[str, Any]]:
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict):
                    yield said

    async def _stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _tail(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-12:]) or "  it said nothing"


def _site(store: str, script: Script, dictation_port: int) -> str:
    """A `site.toml`. A JSON string is a TOML string."""
    personas = "".join(f"{json.dumps(r.id)} = {json.dumps(f'persona/{r.persona}')}\n" for r in script.radiologists)
    return f"""\
[store]
url = {json.dumps(store)}

[hl7v2]
listen = "127.0.0.1:0"

[[hl7v2.destinations]]
name = "dictation"
address = "127.0.0.1:{dictation_port}"

[dicom]
enabled = false

[http]
listen = "127.0.0.1:0"

[model]
url = "embedded"

[model.personas]
{personas}"""
