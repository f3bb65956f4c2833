"""The HTTP interface of one replica, on any ASGI server. Nothing of a request's text is logged."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from radbridge.contract import PREFETCH, REQUEST, DraftRequest, DraftResponse
from radbridge.errors import ModelError, ModelOverloaded, ModelUnavailable
from radbridge_model_server.service import Service
from radbridge_model_server.web.chat import CHAT, complete_chat, stream_chat
from radbridge_model_server.web.problems import HttpProblem, answer, from_model_error
from radbridge_model_server.web.reception import read_body, read_json, while_connected
from radbridge_model_server.web.request_id import RequestIds
from radbridge_model_server.web.stream import EVENTS, stream_draft

_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_CLIENT_LEFT = 499
"""What nginx and Ray Serve call it; nobody reads the answer."""


def build_api(service: Service, *, echo_request_id: bool = True) -> FastAPI:
    """The application: drafts, prefetch, an OpenAI-compatible chat, models, what an operator wants to know.

    `echo_request_id` is off where the server in front does it.
    """
    api = FastAPI(title="RadBridge model server", docs_url=None, redoc_url=None, openapi_url=None)
    api.add_middleware(RequestIds, echo=echo_request_id)
    _add_errors(api, service)
    _add_drafts(api, service)
    _add_chat(api, service)
    _add_health(api, service)
    return api


def _add_drafts(api: FastAPI, service: Service) -> None:
    @api.post("/v1/drafts")
    async def make_draft(request: Request) -> Response:
        received = time.monotonic()
        asked = _check_deadline(read_json(REQUEST, await _read(request, service)))
        if EVENTS in request.headers.get("accept", ""):
            return await while_connected(request, stream_draft(service.desk, asked, received))
        return _json(await while_connected(request, _draft(service, asked, received)))

    @api.post("/v1/prefetch", status_code=202)
    async def prefetch(request: Request) -> Response:
        asked = read_json(PREFETCH, await _read(request, service))
        return _json(service.prefetch(asked.radiologist), status=202)


def _add_chat(api: FastAPI, service: Service) -> None:
    @api.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        asked = read_json(CHAT, await _read(request, service))
        if asked.stream:
            return StreamingResponse(await while_connected(request, stream_chat(service, asked)), media_type=EVENTS)
        return _json(await while_connected(request, complete_chat(service, asked)))

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

    @api.get("/v1/loras")
    async def list_loras() -> Response:
        return _json(service.describe_loras())

    @api.get("/metrics")
    async def show_metrics() -> Response:
        return Response(service.metrics.page(), media_type=_METRICS)


def _add_errors(api: FastAPI, service: Service) -> None:
    def tell(problem: HttpProblem, retry_after_s: float | None = None) -> Response:
        service.metrics.problems.labels(problem.kind).inc()
        return answer(problem, retry_after_s=retry_after_s)

    @api.exception_handler(HttpProblem)
    async def tell_problem(_: Request, problem: HttpProblem) -> Response:
        return tell(problem)

    @api.exception_handler(ModelError)
    async def tell_model_error(_: Request, error: ModelError) -> Response:
        return tell(from_model_error(error), _retry_after_s(service, error))

    @api.exception_handler(ClientDisconnect)
    async def tell_nobody(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=_CLIENT_LEFT)

    @api.exception_handler(HTTPException)
    async def tell_http(_: Request, error: HTTPException) -> Response:
        return tell(HttpProblem(error.status_code, "http", error.detail))

    @api.exception_handler(Exception)
    async def tell_failure(_: Request, error: Exception) -> Response:
        return tell(HttpProblem(500, "internal", "The model server failed", type(error).__name__))


async def _read(request: Request, service: Service) -> bytes:
    settings = service.settings
    return await read_body(request, limit=settings.max_body_kib * 1024, within_s=settings.deadline_s)


async def _draft(service: Service, asked: DraftRequest, received: float) -> DraftResponse:
    with service.desk.take(asked, received) as ticket:
        return await ticket.draft()


def _check_deadline(request: DraftRequest) -> DraftRequest:
    if request.deadline_ms is not None and request.deadline_ms <= 0:
        raise HttpProblem(422, "invalid-request", "The request is not valid", "deadline_ms: must be above 0")
    return request


def _retry_after_s(service: Service, error: ModelError) -> float | None:
    if not isinstance(error, ModelOverloaded) or service.engine is None:
        return None
    return max(error.retry_after_s, service.pace.drain_s(service.engine.stats()))


def _json(data: Any, *, status: int = 200) -> Response:
    return Response(orjson.dumps(data), status_code=status, media_type="application/json")
