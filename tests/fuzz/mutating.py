"""Documents that stay JSON while they change: spoiled bytes end at the parser, and nothing behind it is ever seen."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

BYTES = 0.25
"""Of mutations, how many are of bytes all the same."""
ODD: Sequence[Any] = ("", " ", "\0", "\ud800", 0, -1, 2**63, 1e308, None, True, [], {}, [[]], "A" * 300, "9999-12-31")


def mutate_json(data: bytes, at_most: int, seed: int, seeds: Sequence[bytes]) -> bytes | None:
    """The document with one to three places changed; None where bytes are to be spoiled, or it is no document."""
    chance = random.Random(seed)
    if chance.random() < BYTES:
        return None
    try:
        document = json.loads(data)
        donor = json.loads(chance.choice(seeds))
    except (ValueError, RecursionError):
        return None
    for _ in range(chance.randint(1, 3)):
        _change(document, donor, chance)
    raw = json.dumps(document).encode()
    return raw if len(raw) <= at_most else None


def _change(document: Any, donor: Any, chance: random.Random) -> None:
    holders = [h for h in _holders(document) if h]
    if not holders:
        return
    holder = chance.choice(holders)
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = chance.choice(keys)
    values = [v for h in _holders(donor) for v in (h.values() if isinstance(h, dict) else h)]
    match chance.randrange(5):
        case 0:
            del holder[key]
        case 1:
            holder[key] = deepcopy(chance.choice(ODD))
        case 2:
            holder[key] = deepcopy(chance.choice(values))
        case 3:
            holder[key] = [holder[key], deepcopy(holder[key])]
        case _ if isinstance(holder, dict):
            holder[chance.choice(["id", "_id", "reference", "resourceType", "value", "status"])] = deepcopy(holder[key])


def _holders(value: Any) -> list[Any]:
    """Every object and every array of a document."""
    found: list[Any] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            found.append(one)
            waiting.extend(one.values() if isinstance(one, dict) else one)
    return found
