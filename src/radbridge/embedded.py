"""The embedded model server: the model server's own command, as a child process of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from radbridge.config import Model
from radbridge.errors import ModelUnavailable

STOP_S = 15.0
"""What the child gets to stop in before it is killed."""


class EmbeddedModelServer:
    """`async with EmbeddedModelServer(site.model) as server: server.url`."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._process: asyncio.subprocess.Process | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        """Start, and return when it answers. Raises ModelUnavailable with what it said last."""
        self._folder = tempfile.TemporaryDirectory(prefix="radbridge-model-")
        config = Path(self._folder.name) / "model.json"
        config.write_text(json.dumps(self._settings()), encoding="utf-8")
        log = Path(self._folder.name) / "log"
        with log.open("wb") as sink:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "radbridge_model_server", "--listen", "127.0.0.1:0", "--config", str(config)),
                stdin=asyncio.subprocess.PIPE,  # closed when the gateway dies: then the child stops too
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
            )
        try:
            async with asyncio.timeout(self._model.start_timeout_s):
                self.url = await self._announced()
        except (TimeoutError, ModelUnavailable):
            tail = log.read_text(errors="replace").strip().splitlines()[-8:]
            await self.__aexit__(None, None, None)
            detail = "\n  ".join(tail) or "it said nothing"
            raise ModelUnavailable(f"the embedded model server didn't start:\n  {detail}") from None
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask it to stop; kill it when it doesn't."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._folder is not None:
            self._folder.cleanup()

    async def died(self) -> int:
        """Wait for the process to end; its exit status."""
        return await self._process.wait() if self._process else 0

    def _settings(self) -> dict[str, Any]:
        loras = self._model.loras
        return {
            "strategy": self._model.strategy,
            "site_lora": self._model.site_lora,
            "personas": self._model.personas,
            **({"loras": str(loras.resolve())} if loras else {}),
        }

    async def _announced(self) -> str:
        """The URL from the first JSON line that names one."""
        if self._process is None or self._process.stdout is None:
            raise ModelUnavailable
        async for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict) and "url" in said:
                    return str(said["url"])
        raise ModelUnavailable
