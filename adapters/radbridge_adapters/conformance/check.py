"""A check: one promise that a receiver of drafts has to keep, with the clause that asks for it, and what was seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import Generic, TypeVar

from radbridge.errors import RadBridgeError

Target = TypeVar("Target")
_LINE = 300


class Level(StrEnum):
    """How much a promise weighs (RFC 2119)."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Broken(Exception):
    """A promise is not kept; the text tells what was seen instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check(Generic[Target]):
    """One promise of one wire."""

    id: str
    level: Level
    promise: str
    clause: str
    """Where it is asked for."""
    run: Callable[[Target], Awaitable[None]]
    """Returns when it is kept; raises Broken, or whatever comes of an answer that nobody can read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one check found."""

    id: str
    level: Level
    promise: str
    clause: str
    kept: bool
    seen: str
    """Empty when it is kept."""
    ms: float


def expect(kept: object, seen: str) -> None:
    """Raise Broken with what was seen, unless the promise is kept."""
    if not kept:
        raise Broken(seen)


async def run_checks(
    checks: Sequence[Check[Target]], target: Target, tell: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Every check in turn; one that fails in whatever way stops no other."""
    outcomes: list[Outcome] = []
    for check in checks:
        begun = monotonic()
        seen = await _see(check, target)
        outcome = Outcome(
            id=check.id,
            level=check.level,
            promise=check.promise,
            clause=check.clause,
            kept=not seen,
            seen=seen,
            ms=round((monotonic() - begun) * 1000, 1),
        )
        tell(outcome)
        outcomes.append(outcome)
    return outcomes


def passes(outcomes: Sequence[Outcome]) -> bool:
    """Whether every MUST is kept."""
    return all(outcome.kept for outcome in outcomes if outcome.level is Level.MUST)


async def _see(check: Check[Target], target: Target) -> str:
    try:
        await check.run(target)
    except (Broken, RadBridgeError) as error:
        return str(error)[:_LINE] or type(error).__name__
    except TimeoutError:
        return "nothing came in time"
    except Exception as error:  # noqa: BLE001 - the answer is a stranger's: whatever reading it brings is its fault
        return f"an answer that can't be read ({type(error).__name__})"
    return ""
