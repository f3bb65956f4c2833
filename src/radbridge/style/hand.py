"""`Hand`: how one radiologist writes, as far as a few signed reports tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from radbridge.coarse import Statement, draft_coarse
from radbridge.example import StyleExample
from radbridge.style.layout import arrange, lay_out
from radbridge.style.profile import StyleProfile, count_profile
from radbridge.style.sentences import StyleSentence, choose_style
from radbridge.style.signed import Signed, read_signed

_REMEMBERED = 2_048
"""Examples of which the reading is kept: the same ones come with case after case, and each costs milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hand:
    """What a drafter needs of a style: what to say, how to word it, how to lay it out."""

    profile: StyleProfile
    sentences: tuple[StyleSentence, ...] = field(repr=False)

    def arrange(self, statements: Sequence[Statement]) -> list[Statement]:
        """Those that the signer would say, in the signer's order; see `layout.arrange`."""
        return arrange(statements, self.profile)

    def choose_style(self, statement: str, k: int = 3) -> tuple[StyleSentence, ...]:
        """Signed sentences that show how it would be worded, the nearest last."""
        return choose_style(statement, self.sentences, k)

    def lay_out(self, sentences: Sequence[str]) -> str:
        """One text of them."""
        return lay_out(sentences, self.profile)


def read_hand(examples: Sequence[StyleExample]) -> Hand | None:
    """The hand of whoever signed `examples`; None without any."""
    told = [e for e in examples if e.impression.strip()]
    if not told:
        return None
    signed = [_read_example(e.findings, e.impression) for e in told]
    sentences = (
        StyleSentence(text=text, id=example.id)
        for example, report in zip(reversed(told), reversed(signed), strict=True)
        for text in report.sentences
    )
    return Hand(profile=count_profile(signed), sentences=tuple(sentences))


@lru_cache(maxsize=_REMEMBERED)
def _read_example(findings: str, impression: str) -> Signed:
    return read_signed(impression, draft_coarse(findings).statements)
