"""A model server that knows one trick, and fails at it now and then: `python -m tests.torture.model PORT FOLDER SEED`.

It notes what it was asked, which tells when the gateway had applied that text at the latest.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Response

from tests.torture.ledger import Ledger
from tests.torture.words import case_of, save_of

SLOW_S = 2.5
"""Longer than the gateways wait."""
CALM = "calm"
"""A file: once it is there, every answer is good."""


def make_app(ledger: Ledger, seed: int, is_calm: Callable[[], bool]) -> FastAPI:
    """`/v1/drafts`, `/v1/prefetch`, `/readyz`."""
    app, chance = FastAPI(), random.Random(seed)

    @app.get("/readyz")
    async def readyz() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/v1/prefetch", status_code=202)
    async def prefetch() -> dict[str, Any]:
        return {"lora": "base", "resident": True}

    @app.post("/v1/drafts", response_model=None)
    async def draft(request: dict[str, Any]) -> dict[str, Any] | Response:
        findings = request["findings"]
        ledger.note("asked", id=request["id"], case=case_of(findings), save=save_of(findings))
        fate = 1.0 if is_calm() else chance.random()
        if fate < 0.03:
            return Response(status_code=503)
        await asyncio.sleep(SLOW_S if fate < 0.05 else chance.uniform(0.0, 0.1))
        return {
            "id": request["id"],
            "draft": findings.split(".")[0].removeprefix("There is a ") + ".",
            "lora": "base",
            "model": "torture",
            "base_digest": "0" * 12,
            "prompt_version": "p1",
            "stage": "coarse",
            "ms": 1.0,
        }

    return app


if __name__ == "__main__":
    port, folder, seed = sys.argv[1:4]
    made = make_app(Ledger(Path(folder), "model"), int(seed), (Path(folder) / CALM).exists)
    uvicorn.run(made, port=int(port), log_level="error")
