"""The guard: every check of a draft, in one call."""

from __future__ import annotations

from radbridge.draft import Flag
from radbridge.guard.contradictions import check_omitted, check_polarity, check_support
from radbridge.guard.instructions import check_instructions
from radbridge.guard.measures import check_measures
from radbridge.guard.patient import check_patient
from radbridge.guard.prior import check_prior
from radbridge.guard.report import read_text
from radbridge.guard.sides import check_sides

MAX_DRAFT_CHARS = 12_000
"""What is read of a draft: several times the longest impression."""


def check_draft(
    draft: str,
    findings: str,
    *,
    indication: str = "",
    comparison: str = "",
    sex: str = "",
    modality: str = "",
    age: int | None = None,
) -> tuple[Flag, ...]:
    """What a reader of `draft` should know, gravest kinds first; empty where nothing is found.

    Kinds: `laterality`, `negation`, `measurement`, `sex_or_age`, `omitted`, `instruction`, `unsupported`, `comparison`.
    `sex` is `M` or `F`, `age` in years. `modality` isn't used yet. Texts are read up to
    `radbridge.text.MAX_CHARS`, a draft up to `MAX_DRAFT_CHARS`.
    """
    said, told = read_text(draft, MAX_DRAFT_CHARS), read_text(findings)
    if not said.readings:
        return ()
    context = read_text(indication), read_text(comparison)
    sources = (told, *context)
    return (
        *check_sides(said, sources),
        *check_polarity(said, told),
        *check_measures(said.text, [s.text for s in sources]),
        *check_patient(said.text, sex, age),
        *check_omitted(said, told),
        *check_instructions(said.text),
        *check_support(said, sources),
        *check_prior(said.text, told.text, context[0].text, context[1].text),
    )
