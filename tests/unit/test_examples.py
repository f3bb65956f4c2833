"""What a request may hold of a signer's reports, and that what is older still reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from radbridge.contract import REQUEST, RESPONSE
from radbridge.draft import DraftImpression
from radbridge.example import MAX_EXAMPLE_CHARS, MAX_EXAMPLES
from tests.support.drafts import DRAFT

CASE: dict[str, Any] = {"id": "a", "findings": "Nodule."}
EXAMPLE = {"id": "m1", "impression": "Nodule.", "findings": "There is a nodule."}


def test_as_many_and_as_long_as_allowed() -> None:
    """The most examples of the greatest length are taken, and come out as they went in."""
    longest = {"id": "m1", "impression": "x" * MAX_EXAMPLE_CHARS, "findings": "x" * MAX_EXAMPLE_CHARS}
    request = REQUEST.validate_python(CASE | {"examples": [longest] * MAX_EXAMPLES, "memory": "m1/1"})
    assert REQUEST.validate_json(REQUEST.dump_json(request)) == request
    assert "xx" not in repr(request.examples)


@pytest.mark.parametrize(
    "more",
    [
        {"examples": [EXAMPLE] * (MAX_EXAMPLES + 1)},
        {"examples": [EXAMPLE | {"impression": "x" * (MAX_EXAMPLE_CHARS + 1)}]},
        {"examples": [EXAMPLE | {"findings": "x" * (MAX_EXAMPLE_CHARS + 1)}]},
        {"examples": [{"id": "m1"}]},
        {"task": "translate"},
    ],
)
def test_more_is_refused(more: dict[str, Any]) -> None:
    """Too many examples, too long ones, one without an impression and an unknown task are refused."""
    with pytest.raises(ValidationError):
        REQUEST.validate_python(CASE | more)


def test_a_callers_older_request() -> None:
    """A request of before there was a memory is one without examples, for an impression."""
    request = REQUEST.validate_python(CASE)
    assert (request.examples, request.memory, request.task) == ((), "", "impression")


def test_a_servers_older_answer() -> None:
    """An answer of a server that knows no examples says that none was used."""
    answer = {"id": "a", "draft": "x", "lora": "base", "model": "m", "base_digest": "b", "prompt_version": "p1"}
    response = RESPONSE.validate_python(answer | {"stage": "coarse", "ms": 1.0})
    assert (response.examples, response.coarse_lora, response.strategy, response.asked) == ((), "", "", "")


def test_a_draft_that_was_stored_before() -> None:
    """A draft in the journal without the newer keys is read, and says nothing about a memory."""
    stored = json.loads(TypeAdapter(DraftImpression).dump_json(DRAFT))
    for key in ("strategy", "coarse_lora", "memory", "examples", "asked"):
        del stored[key]
    draft = TypeAdapter(DraftImpression).validate_python(stored)
    assert (draft.text, draft.memory, draft.examples) == (DRAFT.text, "", ())
