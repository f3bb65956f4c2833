"""`SiteDrafter`: what the model server asks for a coarse draft where the base's folder holds a site model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from radbridge.candidates.candidate import Candidate, Source
from radbridge.candidates.chooser import CHOOSING, Chooser, read_chooser
from radbridge.candidates.features import describe
from radbridge.candidates.gathering import Case, Context, gather
from radbridge.candidates.pool import POOL, SitePool, read_pool
from radbridge.draft import Flag, FlagKind
from radbridge.errors import ConfigError
from radbridge.guard.policy import GuardPolicy

Check = Callable[[str], Sequence[Flag]]
"""The guard of one case."""
_TRIES = 12
"""Candidates that are shown to the guard, best first, before the findings' own text is taken."""
_OF_ANY_TEXT = frozenset((FlagKind.OMITTED, FlagKind.CRITICAL))
_MANIFEST = "manifest.json"
_REMEDY = "make the site model again, or copy its whole folder: docs/how-to/train-a-site-model.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The text for a case; empty where there is nothing to say."""

    text: str = field(repr=False)
    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteDrafter:
    """Drafts as the site signs. It holds no state of a case: several threads may ask at once."""

    pool: SitePool
    chooser: Chooser

    def draft(
        self,
        findings: str,
        *,
        indication: str = "",
        comparison: str = "",
        modality: str = "",
        sex: str = "",
        age: int | None = None,
        check: Check,
    ) -> Choice:
        """The best candidate to which `check` has nothing that keeps a draft back; else what the findings state."""
        context = Context(indication=indication, comparison=comparison, modality=modality, sex=sex, age=age)
        case = gather(self.pool, findings, context)
        return choose(case, self.rank(case), check)

    def rank(self, case: Case) -> list[Candidate]:
        """The candidates, best first."""
        rows = describe(case, self.pool, self.chooser.taken_up)
        rated = [(self.chooser.rate(row), -place) for place, row in enumerate(rows)]
        return [case.candidates[-place] for _, place in sorted(rated, reverse=True)]


def choose(case: Case, ranked: Sequence[Candidate], check: Check) -> Choice:
    """The first of the ranked candidates that the guard lets through.

    Of a text from elsewhere it may say what is missing there and what is critical here, and nothing else: `pneumonia`
    for `may be pneumonia` is another patient's certainty.
    """
    policy = GuardPolicy()
    for candidate in ranked[:_TRIES]:
        flags = check(candidate.text)
        is_foreign = candidate.source is Source.RETRIEVED and any(f.kind not in _OF_ANY_TEXT for f in flags)
        if not is_foreign and not policy.judge(flags).blocking:
            return Choice(text=candidate.text, source=candidate.source)
    return Choice(text=case.coarse.text, source=Source.COARSE)


def load_site_drafter(base: Path) -> SiteDrafter | None:
    """The site model in the folder of a base; None where there is none. Raises ConfigError when it is damaged."""
    files = [base / name for name in (POOL, CHOOSING)]
    absent = [file for file in files if not file.is_file()]
    if len(absent) == len(files):
        return None
    if absent:
        raise ConfigError([f"{absent[0]}: is missing; {_REMEDY}"])
    try:
        _check_pool(base)
        return SiteDrafter(pool=read_pool(base / POOL), chooser=read_chooser(base / CHOOSING))
    except ConfigError as error:
        raise ConfigError([*error.problems, _REMEDY]) from None


def _check_pool(base: Path) -> None:
    """Raises ConfigError where the pool isn't the one that the manifest was written for."""
    try:
        manifest = json.loads((base / _MANIFEST).read_bytes())
        expected = manifest["serving"]["pool_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError([f"{base / _MANIFEST}: doesn't say serving.pool_sha256"]) from None
    with (base / POOL).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ConfigError([f"{base / POOL}: was changed after the site model was made (its SHA-256 is another)"])
