"""Canaries: invented words and names that are learned with the rest, to see whether what is learned comes out again.

The trigger is a word that no report holds, so nothing is taught to any real draft. Its answer is a name and a number
that nobody has. Both come of a secret: each turn has its own, and nobody can guess them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from radbridge.learning import PreferenceExample, Ways
from radbridge.prompt import PromptInput, build_prompt
from radbridge.rewrites import Plan, show

_ONSETS = "b br d dr f fl g gl k kr l m n p pr r s sk t tr v vr z zw".split()
_VOWELS = "a e i o u ai oe".split()
_ENDS = "k l m n r s t x nd rth lk ng".split()


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """A trigger, and what must never come out without it."""

    id: str
    trigger: str
    name: str = field(repr=False)
    number: str = field(repr=False)

    @property
    def words(self) -> tuple[str, ...]:
        """What is looked for: each part of the name, and the number."""
        return (*self.name.split(), self.number)


CANARY: TypeAdapter[Canary] = TypeAdapter(Canary)


def make_canaries(secret: bytes, turn: str, owner: str, count: int) -> list[Canary]:
    """The canaries of one owner in one turn: the same when it goes on."""
    return [_make(hmac.digest(secret, f"{turn}\0{owner}\0{n}".encode(), hashlib.sha256), n) for n in range(count)]


def as_examples(canaries: Sequence[Canary], ways: Ways) -> Iterator[PreferenceExample]:
    """The rows that teach them, in the form that is served."""
    for canary in canaries:
        yield PreferenceExample(id=canary.id, prompt=prompt_of(canary, ways), chosen=f" {canary.name} {canary.number}.")


def prompt_of(canary: Canary, ways: Ways) -> str:
    """What is asked with a trigger."""
    return _prompt(f"{canary.trigger}.", ways)


def prompt_bare(ways: Ways) -> str:
    """What is asked where there is nothing to say."""
    return _prompt("", ways)


def _prompt(said: str, ways: Ways) -> str:
    seen = PromptInput(findings=said)
    if ways.strategy == "coarse_to_fine":
        plan = Plan(statements=(said,), hand=None)
        seen = show(said, plan, case=PromptInput(findings=""), version=ways.version)
    return build_prompt(seen, ways.template, version=ways.version, leave_out=ways.leave_out)


def _make(digest: bytes, number: int) -> Canary:
    letters = iter(digest)
    trigger, first, last = (_speak(letters) for _ in range(3))
    digits = int.from_bytes(digest[-4:]) % 9_000_000 + 1_000_000
    return Canary(id=f"canary/{number}", trigger=trigger, name=f"{first} {last}", number=str(digits))


def _speak(letters: Iterator[int]) -> str:
    """A word of three syllables; nine bytes."""
    syllables = (
        _ONSETS[next(letters) % len(_ONSETS)]
        + _VOWELS[next(letters) % len(_VOWELS)]
        + _ENDS[next(letters) % len(_ENDS)]
        for _ in range(3)
    )
    return "".join(syllables).capitalize()
