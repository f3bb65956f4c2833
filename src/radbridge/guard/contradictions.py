"""Findings that the draft affirms and the findings deny, or the other way round; invented and omitted ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from radbridge.coarse.lexicon import WEIGHTS, load_lexicon
from radbridge.coarse.scopes import Mention, Reading
from radbridge.draft import Flag, Severity
from radbridge.guard.lexicon import load_style
from radbridge.guard.report import CheckedText
from radbridge.text import FUNCTION_WORDS, stem

_PAST = frozenset("old prior previous history remote chronic healed resolved no rule evaluate question stable".split())


def check_polarity(draft: CheckedText, findings: CheckedText) -> Iterator[Flag]:
    """One flag for each finding that is only affirmed on one side and only denied on the other."""
    told = findings.polarities()
    for name, denied in draft.polarities().items():
        if len(denied) == 1 and len(told.get(name, ())) == 1 and told[name] != denied:
            draft_says, findings_say = ("denies", "affirm") if True in denied else ("affirms", "deny")
            yield Flag(
                kind="negation",
                message=f"the draft {draft_says} {_plain(name)}, the findings {findings_say} it",
                severity=Severity.CRITICAL,
            )


def check_support(draft: CheckedText, sources: Sequence[CheckedText]) -> Iterator[Flag]:
    """One flag for each finding stated as definite that no source mentions and none makes likely."""
    style = load_style()
    told = {m.concept.name for s in sources for r in s.readings for m in r.mentions}
    stems = frozenset().union(*(s.stems for s in sources))
    uncertain = load_lexicon().uncertain
    missing: dict[str, None] = {}
    for reading in draft.readings:
        if uncertain.find(reading.words):
            continue
        for mention in reading.mentions:
            name = mention.concept.name
            if (
                mention.denied
                or name in told
                or told & style.implied.get(name, frozenset())
                or _words_told(reading, mention, stems)
            ):
                continue
            missing[name] = None
    for name in missing:
        yield Flag(kind="unsupported", message=f"the findings don't mention {_plain(name)}")


def check_omitted(draft: CheckedText, findings: CheckedText) -> Iterator[Flag]:
    """One flag for each critical finding of the findings that the draft doesn't mention at all."""
    style = load_style()
    mentioned = {m.concept.name for r in draft.readings for m in r.mentions}
    mentioned |= {also for name in mentioned for also in style.implied.get(name, ())}
    omitted: dict[str, None] = {}
    for reading in findings.readings:
        if _PAST.isdisjoint(reading.words):
            for mention in reading.mentions:
                if (
                    mention.concept.weight == WEIGHTS["critical"]
                    and not mention.denied
                    and mention.concept.name not in mentioned
                ):
                    omitted[mention.concept.name] = None
    for name in omitted:
        yield Flag(
            kind="omitted", message=f"the findings state {_plain(name)}, the draft doesn't", severity=Severity.CRITICAL
        )


def _words_told(reading: Reading, mention: Mention, stems: frozenset[str]) -> bool:
    return all(stem(w) in stems for w in reading.words[mention.start : mention.end] if w not in FUNCTION_WORDS)


def _plain(name: str) -> str:
    return name.replace("_", " ")
