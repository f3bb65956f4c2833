"""What a text tells of another patient's report: signed reports are in a model's view, and it has learnt from more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from radbridge.config import Action
from radbridge.draft import Flag, FlagKind, Section, Severity, Span
from radbridge.guard.acts import Act, read_acts
from radbridge.guard.policy import GuardPolicy
from radbridge.guard.repair import drop_flagged
from radbridge.text import label_sentences
from radbridge_model_server.drafts.prepared import Prepared

_PLACEHOLDER = re.compile(r"\[(?:NAME|ID|PHONE|DATE|ADDRESS|CONTACT)\]")
"""What de-identification puts in the place of a name."""
_POLICY = GuardPolicy(site={FlagKind.UNSUPPORTED: {Severity.CRITICAL: Action.BLOCK}})
REFUSAL = "it tells of people that the findings don't name"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleared:
    """A text without what is foreign to its case."""

    text: str = field(repr=False)
    """Empty: nothing would be left."""
    notes: tuple[Flag, ...] = ()
    """A flag for each statement that went."""


def clear(text: str, prepared: Prepared) -> Cleared:
    """The text without statements that hold a placeholder, or tell of a talk that this case's own texts don't."""
    foreign = tuple(_find_foreign(text, prepared))
    if not foreign:
        return Cleared(text=text)
    left = drop_flagged(text, foreign, _POLICY, lambda _: ())
    return Cleared(text=left.text, notes=left.notes) if left else Cleared(text="")


def _find_foreign(text: str, prepared: Prepared) -> Iterator[Flag]:
    request = prepared.request
    own = read_acts(f"{request.findings}\n{request.indication}")
    for sentence in label_sentences(text):
        said = text[sentence.start : sentence.end]
        talks = Act.TALK in read_acts(said) - own
        if talks or _PLACEHOLDER.search(said):
            span = Span(section=Section.DRAFT, start=sentence.start, end=sentence.end)
            yield Flag(kind=FlagKind.UNSUPPORTED, message="", severity=Severity.CRITICAL, spans=(span,))
