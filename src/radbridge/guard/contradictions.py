"""Findings that the draft affirms and the findings deny, or the other way round; invented and omitted ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from radbridge.draft import Flag, Severity
from radbridge.guard.report import CheckedText
from radbridge.guard.style import load_style
from radbridge.text import FUNCTION_WORDS, stem
from radbridge.text.scopes import Mention, Reading
from radbridge.text.vocabulary import WEIGHTS, load_vocabulary

_PAST = frozenset("old prior previous history remote chronic healed resolved".split())


def check_polarity(draft: CheckedText, findings: CheckedText) -> Iterator[Flag]:
    """One flag for each finding that is only affirmed on one side and only denied on the other.

    Findings that are expected for age are passed over: their synonyms are too wide to contradict each other.
    """
    told = findings.polarities()
    for concept, denied in draft.polarities().items():
        known = told.get(concept, set())
        if concept.weight >= WEIGHTS["minor"] and len(denied) == len(known) == 1 and known != denied:
            draft_says, findings_say = ("denies", "affirm") if True in denied else ("affirms", "deny")
            message = f"the draft {draft_says} {_plain(concept.name)}, the findings {findings_say} it"
            yield Flag(kind="negation", message=message, severity=Severity.CRITICAL)


def check_support(draft: CheckedText, sources: Sequence[CheckedText]) -> Iterator[Flag]:
    """One flag for each finding stated as definite that no source mentions and none makes likely."""
    told = {m.concept.name for s in sources for r in s.readings for m in r.mentions}
    stems = frozenset[str]().union(*(s.stems for s in sources))
    uncertain = load_vocabulary().uncertain
    definite = (r for r in draft.readings if r.mentions and not uncertain.find(r.words))
    missing = (m.concept.name for r in definite for m in r.mentions if not _is_supported(r, m, told, stems))
    for name in dict.fromkeys(missing):
        yield Flag(kind="unsupported", message=f"the findings don't mention {_plain(name)}")


def _is_supported(reading: Reading, mention: Mention, told: set[str], stems: frozenset[str]) -> bool:
    """Whether a mention claims nothing new: denied, minor, told, implied by what is told, or told in its words."""
    name = mention.concept.name
    if mention.denied or mention.concept.weight < WEIGHTS["minor"] or name in told:
        return True
    words = (w for w in reading.words[mention.start : mention.end] if w not in FUNCTION_WORDS)
    return not told.isdisjoint(load_style().implied.get(name, ())) or all(stem(w) in stems for w in words)


def check_omitted(draft: CheckedText, findings: CheckedText) -> Iterator[Flag]:
    """One flag for each critical finding of the findings that the draft doesn't mention at all."""
    implied = load_style().implied
    mentioned = {m.concept.name for r in draft.readings for m in r.mentions}
    mentioned |= {also for name in mentioned for also in implied.get(name, ())}
    present = (r for r in findings.readings if r.mentions and _PAST.isdisjoint(r.words))
    critical = (m for r in present for m in r.mentions if m.concept.weight == WEIGHTS["critical"] and not m.denied)
    for name in dict.fromkeys(m.concept.name for m in critical):
        if name not in mentioned:
            message = f"the findings state {_plain(name)}, the draft doesn't"
            yield Flag(kind="omitted", message=message, severity=Severity.CRITICAL)


def _plain(name: str) -> str:
    return name.replace("_", " ")
