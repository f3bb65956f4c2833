"""What the container asks to know whether the gateway lives: the Dockerfile's own command, against a real port."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.gateway import free_port
from tests.support.live import live, make_site

DOCKERFILE = Path(__file__).parents[2] / "deploy" / "Dockerfile"


async def asks(port: int, within_s: int = 2) -> int:
    """The status of the image's health check, with this machine's Python and port, and with the patience of a test."""
    (command,) = re.findall(r"^HEALTHCHECK .*\\\n +CMD (\[.+\])$", DOCKERFILE.read_text(), re.MULTILINE)
    assert command.count("2)") == 2
    python, *arguments = (part.replace("8080", str(port)) for part in json.loads(command.replace("2)", f"{within_s})")))
    assert python == "python"
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


@pytest.mark.parametrize("place", ["clear", "tls", "clients"])
async def test_the_container_knows_whether_its_gateway_lives(place: str, tmp_path: Path) -> None:
    """The health check is content with a gateway that lives, in clear, over TLS, or wanting certificates; else not."""
    port = free_port()
    http: dict[str, Any] = {"listen": f"127.0.0.1:{port}"}
    if place != "clear":
        authority = Authority(tmp_path)
        ours = authority.issue("gateway")
        http |= {"tls_cert": ours, "tls_key": ours} | ({"client_ca": authority.ca} if place == "clients" else {})
    assert await asks(port) != 0
    async with live(make_site(tmp_path, http=http)):
        assert await asks(port, within_s=600) == 0


async def test_the_container_knows_a_gateway_that_hangs() -> None:
    """A port that takes connections, and at which nobody works, is no life."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert await asks(silent.getsockname()[1]) != 0
