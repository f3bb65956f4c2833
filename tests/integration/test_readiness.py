"""What `/readyz` says while a gateway starts."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from radbridge_adapters.hl7v2.listener import MllpListener
from tests.support.gateway import free_port
from tests.support.live import live, make_site


async def test_a_listener_that_does_not_listen_yet_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP port answers first: it names every listener that is still to come, and no sender takes it for ready."""
    seen: list[dict[str, bool]] = []
    start, address = MllpListener.start, f"127.0.0.1:{free_port()}"

    async def ask_first(self: MllpListener) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            seen.append((await client.get(f"http://{address}/readyz")).json()["parts"])
        await start(self)

    monkeypatch.setattr(MllpListener, "start", ask_first)
    async with live(make_site(tmp_path, http={"listen": address})) as gateway:
        assert (await gateway.readiness())["hl7v2"]
    assert [(parts["http"], parts["hl7v2"]) for parts in seen] == [(True, False)]
