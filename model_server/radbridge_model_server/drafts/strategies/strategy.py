"""`Strategy`: what every way from findings to a text does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from radbridge.draft import Flag, Stage
from radbridge.guard import Guard
from radbridge_model_server.drafts.asking import Written
from radbridge_model_server.drafts.prepared import Author, Prepared
from radbridge_model_server.engines.engine import OnText
from radbridge_model_server.loras.chain import Link


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The text to show, and what is to be known of it."""

    text: str = field(repr=False)
    stage: Stage
    author: Author | None = None
    """None: no weights wrote it."""
    flags: tuple[Flag, ...] = ()
    """The guard's."""
    notes: tuple[Flag, ...] = ()
    """How the text came to be."""
    reasons: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    """The ids of the signed reports that it was written beside."""


class Strategy(Protocol):
    """One way. It keeps nothing between requests."""

    @property
    def name(self) -> str:
        """As drafts tell it."""
        ...

    async def prepare(self, prepared: Prepared) -> Prepared:
        """The request with the coarse text that this way begins with: the extractive one. Raises ModelOverloaded."""
        return prepared

    def has_nothing(self, prepared: Prepared) -> bool:
        """Whether there is nothing to draft from."""
        return not prepared.request.findings.strip()

    async def write(
        self, prepared: Prepared, links: Iterable[Link], fallback: list[str], on_text: OnText | None = None
    ) -> Written | None:
        """What the first link that works writes; None where none does. Reasons are added to `fallback`.

        A text that is written at once goes to `on_text` as it grows. Raises ModelOverloaded.
        """
        ...

    def judge(self, prepared: Prepared, written: Written | None, guard: Guard) -> Verdict:
        """The best text that holds."""
        ...


def judge_coarse(prepared: Prepared, guard: Guard, *reasons: str) -> Verdict:
    """The coarse text, and why nothing better."""
    return Verdict(
        text=prepared.coarse.text,
        stage=prepared.coarse.stage,
        author=prepared.coarse_by,
        flags=guard.check(prepared.coarse.text),
        reasons=reasons,
    )
