"""The HTTP interface of one replica, on any ASGI server. Nothing of a request is logged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from radbridge.contract import REQUEST, DraftRequest
from radbridge.draft import Stage
from radbridge.errors import ModelError, ModelOverloaded, ModelUnavailable
from radbridge_model_server.chat import CHAT, complete_chat, stream_chat
from radbridge_model_server.drafting import Prepared
from radbridge_model_server.problems import HttpProblem, answer, from_model_error, from_validation
from radbridge_model_server.service import Service

_EVENTS = "text/event-stream"


def build_api(service: Service) -> FastAPI:
    """The application: drafts, an OpenAI-compatible chat, models, health."""
    api = FastAPI(title="RadBridge model server", docs_url=None, redoc_url=None, openapi_url=None)
    _add_errors(api)
    _add_drafts(api, service)
    _add_chat(api, service)
    _add_health(api, service)
    return api


def _add_drafts(api: FastAPI, service: Service) -> None:
    @api.post("/v1/drafts")
    async def make_draft(request: Request) -> Response:
        asked = _read_draft_request(await _read_body(request, service.settings.max_body_kib * 1024))
        if _EVENTS in request.headers.get("accept", ""):
            prepared = await service.drafter.prepare(asked)
            return StreamingResponse(_stream_draft(service, prepared), media_type=_EVENTS)
        return _json(await service.drafter.draft(asked))


def _add_chat(api: FastAPI, service: Service) -> None:
    @api.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        asked = _validate(CHAT, await _read_body(request, service.settings.max_body_kib * 1024))
        completion = await complete_chat(service, asked)
        if asked.stream:
            return StreamingResponse(stream_chat(completion), media_type=_EVENTS)
        return _json(completion)

    @api.get("/v1/models")
    async def list_models() -> Response:
        names = ["base", *service.chain.names()] if service.engine else []
        models = [{"id": name, "object": "model", "owned_by": "radbridge"} for name in names]
        return _json({"object": "list", "data": models})


def _add_health(api: FastAPI, service: Service) -> None:
    @api.get("/healthz")
    async def check_health() -> Response:
        if service.engine is None:
            return _json({"status": "ok"})
        service.engine.check_health()
        return _json({"status": "ok", "engine": asdict(service.engine.stats())})

    @api.get("/readyz")
    async def check_ready() -> Response:
        if not await service.is_ready():
            raise ModelUnavailable("the canary token didn't come")
        return _json({"status": "ready"})


def _add_errors(api: FastAPI) -> None:
    @api.exception_handler(HttpProblem)
    async def tell_problem(_: Request, problem: HttpProblem) -> Response:
        return answer(problem)

    @api.exception_handler(ModelError)
    async def tell_model_error(_: Request, error: ModelError) -> Response:
        retry_after_s = error.retry_after_s if isinstance(error, ModelOverloaded) else None
        return answer(from_model_error(error), retry_after_s=retry_after_s)

    @api.exception_handler(HTTPException)
    async def tell_http(_: Request, error: HTTPException) -> Response:
        return answer(HttpProblem(error.status_code, "http", error.detail))

    @api.exception_handler(Exception)
    async def tell_failure(_: Request, error: Exception) -> Response:
        return answer(HttpProblem(500, "internal", "The model server failed", type(error).__name__))


async def _read_body(request: Request, limit: int) -> bytes:
    """The body, no more of it than `limit` bytes in memory."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise HttpProblem(413, "too-large", "The request is too large", f"the limit is {limit} bytes")
    return bytes(body)


def _read_draft_request(body: bytes) -> DraftRequest:
    request: DraftRequest = _validate(REQUEST, body)
    if request.deadline_ms is not None and request.deadline_ms <= 0:
        raise HttpProblem(422, "invalid-request", "The request is not valid", "deadline_ms: must be above 0")
    return request


def _validate(shape: Any, body: bytes) -> Any:
    try:
        return shape.validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from None


async def _stream_draft(service: Service, prepared: Prepared) -> AsyncIterator[bytes]:
    """Server-sent events: `coarse` at once, then `draft`, or `problem` when that fails."""
    yield _event("coarse", {"id": prepared.request.id, "draft": prepared.coarse, "stage": Stage.COARSE})
    try:
        yield _event("draft", await service.drafter.complete(prepared))
    except ModelError as error:
        yield _event("problem", from_model_error(error).problem)


def _event(name: str, data: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))


def _json(data: Any) -> Response:
    return Response(orjson.dumps(data), media_type="application/json")
