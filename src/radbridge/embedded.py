"""The embedded model server: the model server's own command, as a child process of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from radbridge.config import Model
from radbridge.errors import ModelUnavailable
from radbridge.logs import is_log_line

_LONGEST_LINE = 2**20
_LAST_WORDS_S = 2.0

STOP_S = 15.0
"""What the child gets to stop in before it is killed."""


class EmbeddedModelServer:
    """`async with EmbeddedModelServer(site.model) as server: server.url`. Its log lines go to `log`."""

    def __init__(
        self,
        model: Model,
        log: TextIO | None = None,
        *,
        lexicon: Sequence[Path] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """`lexicon`: the guard's files of the site's own; `settings`: the server's file, in place of what both say."""
        self._model = model
        self._settings = tell_settings(model, lexicon) if settings is None else settings
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=8)
        self.url = ""

    async def __aenter__(self) -> Self:
        """Start, and return when it answers. Raises ModelUnavailable with what it said last."""
        self._folder = tempfile.TemporaryDirectory(prefix="radbridge-model-")
        config = Path(self._folder.name) / "model.json"
        config.write_text(json.dumps(self._settings), encoding="utf-8")
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "radbridge_model_server", "--listen", "127.0.0.1:0", "--config", str(config)),
            stdin=asyncio.subprocess.PIPE,  # closed when the gateway dies: then the child stops too
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        self._listening = asyncio.create_task(self._pass_on_log())
        try:
            async with asyncio.timeout(self._model.start_timeout_s):
                self.url = await self._announced()
        except (TimeoutError, ModelUnavailable):
            await self.__aexit__(None, None, None)
            detail = "\n  ".join(self._said) or "it said nothing"
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
        if self._listening is not None:
            with contextlib.suppress(TimeoutError):  # after a kill, what it started may hold the pipe open
                await asyncio.wait_for(self._listening, _LAST_WORDS_S)
        if self._folder is not None:
            self._folder.cleanup()

    async def died(self) -> int:
        """Wait for the process to end; its exit status."""
        return await self._process.wait() if self._process else 0

    async def _pass_on_log(self) -> None:
        """Log lines go to `log`; of what else the child says the last lines are kept, to tell why it ended."""
        if self._process is None or self._process.stderr is None:
            return
        while True:
            try:
                line = await self._process.stderr.readline()
            except ValueError:  # longer than _LONGEST_LINE: no log line of ours
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if is_log_line(text):
                if self._log:
                    self._log.write(f"{text}\n")
                    self._log.flush()
            elif text.strip():
                self._said.append(text)

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


def tell_settings(model: Model, lexicon: Sequence[Path] = ()) -> dict[str, Any]:
    """The model server's file for what the site says; of the rest, the base and the server's defaults decide."""
    said = {
        "base": model.base and str(model.base.resolve()),
        "loras": model.loras and str(model.loras.resolve()),
        "strategy": model.strategy,
        "site_lora": model.site_lora,
    }
    return {
        "lexicon": [str(path.resolve()) for path in lexicon],
        "personas": model.personas,
        "lifecycle": {"canary_share": model.canary_share, "shadow_share": model.shadow_share},
        **{key: value for key, value in said.items() if value is not None},
    }
