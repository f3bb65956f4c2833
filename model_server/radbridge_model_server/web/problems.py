"""Errors as RFC 9457 documents (`application/problem+json`). They name the place, never the value found there."""

from __future__ import annotations

import math
from collections.abc import Mapping

import orjson
from fastapi import Response
from pydantic import ValidationError

from radbridge.contract import Problem
from radbridge.errors import (
    DeadlinePassed,
    LoraRefused,
    ModelError,
    ModelOverloaded,
    ModelUnavailable,
    PromptTooLong,
    Superseded,
)

MEDIA_TYPE = "application/problem+json"


class HttpProblem(Exception):
    """An answer other than success."""

    def __init__(self, status: int, kind: str, title: str, detail: str = "") -> None:
        self.status = status
        self.kind = kind
        """A fixed word, fit for a metric's label."""
        self.problem = Problem(type=f"urn:radbridge:{kind}", title=title, detail=detail)
        super().__init__(title)


_BY_ERROR: tuple[tuple[type[ModelError], int, str, str], ...] = (
    (DeadlinePassed, 504, "deadline-passed", "No draft before the deadline"),
    (ModelOverloaded, 429, "overloaded", "The queue is full"),
    (PromptTooLong, 422, "prompt-too-long", "The prompt doesn't fit the model's context"),
    (LoraRefused, 422, "lora-refused", "The LoRA must not be loaded"),
    (ModelUnavailable, 503, "unavailable", "The engine can't answer"),
    (Superseded, 409, "superseded", "A newer request for the same case has come"),
)


def from_model_error(error: ModelError) -> HttpProblem:
    """The answer that stands for an engine's error."""
    for kind, status, name, title in _BY_ERROR:
        if isinstance(error, kind):
            return HttpProblem(status, name, title, str(error))
    return HttpProblem(500, "internal", "The model server failed")


def from_validation(error: ValidationError) -> HttpProblem:
    """The answer to a body that isn't a request: every fault with its path."""
    faults = error.errors(include_input=False, include_context=False, include_url=False)
    if any(fault["type"] == "json_invalid" for fault in faults):
        return HttpProblem(400, "not-json", "The body is not JSON", "; ".join(fault["msg"] for fault in faults))
    told = (f"{'.'.join(str(part) for part in fault['loc']) or 'body'}: {fault['msg']}" for fault in faults)
    return HttpProblem(422, "invalid-request", "The request is not valid", "; ".join(told))


def answer(problem: HttpProblem, *, retry_after_s: float | None = None) -> Response:
    """The HTTP answer for a problem."""
    headers: Mapping[str, str] = {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
    body = orjson.dumps(problem.problem)
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=dict(headers))
