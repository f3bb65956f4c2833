"""Where the coarse text comes from: the findings alone, or the site's own model beside the base."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from radbridge.coarse import Statement, draft_coarse
from radbridge.contract import DraftRequest
from radbridge.draft import Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class CoarseText:
    """A preliminary impression that is there before any LoRA is asked."""

    text: str = field(repr=False)
    statements: tuple[Statement, ...]
    """What the text is made of: each may be rewritten by itself."""
    stage: Stage = Stage.COARSE
    model: str = "extractive"
    """What drafts call whoever wrote it."""


class CoarseDrafter(Protocol):
    """Writes coarse texts. It may be called in several threads at once."""

    @property
    def is_sites(self) -> bool:
        """Whether it learnt from the site's reports: then only a signer's own LoRA rewrites what it says."""
        ...

    def draft(self, request: DraftRequest) -> CoarseText:
        """The coarse text for a case; empty where there is nothing to say."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingsDrafter:
    """What the findings themselves state, in their own words."""

    @property
    def is_sites(self) -> bool:
        return False

    def draft(self, request: DraftRequest) -> CoarseText:
        coarse = draft_coarse(
            request.findings,
            indication=request.indication,
            comparison=request.comparison,
            modality=request.modality,
            sex=request.sex,
            age=request.age,
        )
        return CoarseText(text=coarse.text, statements=coarse.statements)
