"""Whether the server writes what the trainer's own model writes: else other weights, or others' numbers, are served."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from radbridge.edit import measure_distance
from radbridge.errors import ModelUnavailable
from radbridge_training.gate.arms import DEADLINE_S
from radbridge_training.gate.judge import Finding
from radbridge_training.gate.rules import Parity
from radbridge_training.optimize.generating import Answer

RULE = "parity"


def check_parity(own: Sequence[Answer], served: Sequence[Answer | None], rule: Parity) -> Finding:
    """What the trainer's model answered beside what the server did, prompt by prompt; None: it refused to."""
    if None in served:
        return Finding(
            rule=RULE, passed=False, told=f"the server refused {served.count(None)} of {len(served)} prompts"
        )
    pairs = [_cut(one, other) for one, other in zip(own, served, strict=True) if other is not None]
    if not pairs:
        return Finding(rule=RULE, passed=True, told="there is no prompt to compare")
    equal = sum(one == other for one, other in pairs) / len(pairs)
    distance = sum(measure_distance(one, other) for one, other in pairs) / len(pairs)
    return Finding(
        rule=RULE,
        passed=equal >= rule.least_equal or distance <= rule.most_distance,
        told=f"{100 * equal:.0f} % of {len(pairs)} answers are equal, mean edit distance {distance:.3f}",
        value=equal,
        limit=rule.least_equal,
    )


def _cut(one: Answer, other: Answer) -> tuple[str, str]:
    """Both as far as they can be compared: each cuts a text that goes round in circles where it likes."""
    length = min((len(answer.text) for answer in (one, other) if not answer.finished), default=None)
    return one.text[:length].rstrip(), other.text[:length].rstrip()


async def complete(url: str, lora: str, prompts: Sequence[str]) -> list[Answer | None]:
    """What the server's bare engine writes under `lora`; None for what it refuses. Raises ModelUnavailable."""
    try:
        async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S, trust_env=False) as client:
            return await asyncio.gather(*(_complete_one(client, lora, prompt) for prompt in prompts))
    except httpx.TransportError as error:
        raise ModelUnavailable(f"the gate's model server doesn't answer ({type(error).__name__})") from None


async def _complete_one(client: httpx.AsyncClient, lora: str, prompt: str) -> Answer | None:
    asked = {"model": lora, "messages": [{"role": "user", "content": prompt}]}
    answer = await client.post("/v1/chat/completions", json=asked)
    if not answer.is_success:
        return None
    choice = answer.json()["choices"][0]
    return Answer(text=str(choice["message"]["content"]), finished=choice["finish_reason"] == "stop")
