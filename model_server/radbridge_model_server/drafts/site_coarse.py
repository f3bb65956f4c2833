"""The site's own coarse stage: a pool of its reports and a chooser, in the folder of the base."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from radbridge.candidates import SiteDrafter, Source, load_site_drafter
from radbridge.coarse import Kind, Statement
from radbridge.contract import DraftRequest
from radbridge.draft import Stage
from radbridge.text import split_sentences
from radbridge_model_server.drafts.checking import make_guard
from radbridge_model_server.drafts.coarse import CoarseDrafter, CoarseText, FindingsDrafter
from radbridge_model_server.engines.start import name_base
from radbridge_model_server.settings import Settings

_STAGES = {Source.COARSE: Stage.COARSE, Source.RETRIEVED: Stage.RETRIEVED}


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteCoarse:
    """What this site would sign, of all that may be written for a case; the guard has no blocking flag on it."""

    site: SiteDrafter
    model: str
    lexicon: tuple[Path, ...]

    @property
    def is_sites(self) -> bool:
        return True

    def draft(self, request: DraftRequest) -> CoarseText:
        guard = make_guard(request, self.lexicon)
        choice = self.site.draft(
            request.findings,
            indication=request.indication,
            comparison=request.comparison,
            modality=request.modality,
            sex=request.sex,
            age=request.age,
            check=guard.check,
        )
        return CoarseText(
            text=choice.text,
            statements=tuple(_read_statements(choice.text)),
            stage=_STAGES[choice.source],
            model=self.model,
        )


def find_coarse(settings: Settings) -> CoarseDrafter:
    """The coarse stage that the base's folder holds, else the one of the findings alone. Raises ConfigError."""
    site = load_site_drafter(settings.base)
    if site is None:
        return FindingsDrafter()
    return SiteCoarse(site=site, model=name_base(settings), lexicon=settings.lexicon)


def _read_statements(text: str) -> list[Statement]:
    """The sentences of a text that stands as it is: their order is their weight."""
    sentences = split_sentences(text)
    return [
        Statement(text=said, kind=Kind.ABNORMAL, score=float(len(sentences) - n), index=n)
        for n, said in enumerate(sentences)
    ]
