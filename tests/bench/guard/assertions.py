"""Errors of what is said to be so: negation, certainty, comparison, and findings left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from tests.bench.guard.change import Change, capitalize, editable, lower_first, swap
from tests.bench.guard.lists import alternatives, holds, lines, phrase, replacements, stems, words
from tests.bench.guard.reports import Report
from tests.bench.guard.sentences import (
    STEM,
    Sentence,
    hedged,
    named,
    negated,
    sharing,
    split,
    tells_of_before,
    topics,
)

_ARTICLE = re.compile(r"(?:an?|the)\s+", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|shows?|demonstrates?|measur\w+|remains?|may|can|could|should|lies|holds"
    r"|projects|suggests?|represents?|arises|indicates?|consider|recommend\w*|correlat\w+|given|there|bi-rads|see|contains?|study)\b",
    re.IGNORECASE,
)
_UNTURNED = frozenset(
    "new significant interval change definite other longer more additional further focal acute".split()
)
"""After "no" these stay odd, or true, without it."""
_ADVICE = re.compile(r"(?:correlate|consider|recommend|evaluate|rule out)\b", re.IGNORECASE)
_TO_CLAUSE_END = re.compile(r"[^,;.:]*")
_CHANGE_BEFORE = re.compile(
    r"(?:has|have|is|are|been|interval|now|slightly|mildly|markedly|minimally)\s*$", re.IGNORECASE
)
_CHANGE_AFTER = re.compile(r"\s*(?:in\b|since|from|to\b|compared|when|[.;,]|$)", re.IGNORECASE)
_GRADED = re.compile(r"\b(?:most|more|less|not)\s*$", re.IGNORECASE)
_NUMBER_BEFORE = re.compile(r"\(?\d{1,2}[.)]\s+$")
_BARE_CHANGE = frozenset("increased decreased increasing decreasing".split())


def turn_negation(report: Report, rng: Random) -> Iterator[Change]:
    """What is absent becomes present, and what is present absent."""
    for sentence in editable(report):
        yield from _drop_negation(report, sentence)
        if not negated(sentence.text) and not hedged(sentence.text) and _stated(report.findings, sentence.text):
            yield from _add_negation(sentence)


def _drop_negation(report: Report, sentence: Sentence) -> Iterator[Change]:
    for lead in sorted(stems("negation.lead"), key=len, reverse=True):
        match = phrase(lead).match(sentence.text)
        rest = sentence.text[match.end() :].lstrip() if match else ""
        if rest and rest.split()[0].lower() not in _UNTURNED and _denied(report.findings, rest):
            start, end = sentence.start, sentence.end - len(rest) + 1
            yield Change(
                sub="negation/dropped", start=start, end=end, text=rest[0].upper(), about=f"{lead!r} was dropped"
            )
            return
    for match in phrase("without").finditer(sentence.text):
        rest = _clause_at(sentence.text, match.end())
        if not rest.startswith(("evidence", "significant", "change", "interval")) and _denied(report.findings, rest):
            yield swap("negation/without", sentence.start + match.start(), match.group(), "with")


def _denied(findings: str, what: str) -> bool:
    """Whether the findings deny the first thing of `what`, and nowhere say it."""
    generic = words("negation.generic")
    things = [w for w in re.findall(r"[a-z-]+", what.lower()) if named(w)]
    if not things or not generic.isdisjoint(what.lower().strip(".").split()[:3]):
        return False
    about = [sharing(findings, named(thing)) for thing in things]
    return all(found and all(negated(s.text) for s in found) for found in about)


def _stated(findings: str, said: str) -> bool:
    """Whether the findings say, without doubt, the first thing that `said` names."""
    things = [w for w in re.findall(r"[a-z-]+", said.lower()) if named(w)]
    about = sharing(findings, named(things[0])) if things else []
    return bool(about) and not any(negated(s.text) or hedged(s.text) or _ADVICE.match(s.text) for s in about)


def _add_negation(sentence: Sentence) -> Iterator[Change]:
    for said, wrong in replacements("negation.present"):
        for match in phrase(said).finditer(sentence.text):
            yield swap("negation/added", sentence.start + match.start(), match.group(), wrong)
            return
    if is_noun_phrase(sentence.text):
        article = _ARTICLE.match(sentence.text)
        end = article.end() if article else 0
        head = lower_first(sentence.text[end:])[:1]
        for lead in ("No ", "No evidence of "):
            yield Change(
                sub="negation/added",
                start=sentence.start,
                end=sentence.start + end + 1,
                text=lead + head,
                about=f"{lead.strip()!r} was put before a finding",
            )


def is_noun_phrase(text: str) -> bool:
    """Whether the sentence only names a finding."""
    return (
        text[:1].isupper()
        and ":" not in text
        and not _VERB.search(text)
        and not tells_of_before(text)
        and bool(named(text))
    )


def harden(report: Report, rng: Random) -> Iterator[Change]:
    """What is in doubt becomes definite, where the findings doubt it too."""
    for sentence in editable(report):
        for said, wrong in replacements("certainty.hedges"):
            match = phrase(said).search(sentence.text)
            if match is None or _GRADED.search(sentence.text[: match.start()]):
                continue
            if hedged(sentence.text[: match.start()] + sentence.text[match.end() :]):
                continue  # another word keeps the doubt
            before = said.endswith(("excluded", "suspected", "suggested", "questioned"))
            what = sentence.text[: match.start()] if before else _clause_at(sentence.text, match.end())
            if negated(sentence.text[: match.start()]) or not _doubted(report.findings, what):
                continue
            yield swap("certainty/definite", sentence.start + match.start(), match.group(), wrong)
            if said in words("certainty.bare"):
                yield _drop_word(sentence, match)
            break


def _drop_word(sentence: Sentence, match: re.Match[str]) -> Change:
    """Without the word; the next one takes over its capital."""
    rest = sentence.text[match.end() :].lstrip()
    head = capitalize(rest[:1]) if match.group()[0].isupper() else rest[:1]
    end = sentence.end - len(rest) + 1
    about = f"{match.group()!r} was dropped"
    return Change(sub="certainty/bare", start=sentence.start + match.start(), end=end, text=head, about=about)


def _doubted(findings: str, what: str) -> bool:
    wanted = named(what) or topics(what)
    about = sharing(findings, wanted)
    return bool(about) and all(hedged(s.text) for s in about) and not any(tells_definitely(s.text) for s in about)


def tells_definitely(text: str) -> bool:
    """Whether the sentence uses a word of doubt that is none."""
    return holds(text, "consistent with", "compatible with")


def _clause_at(text: str, place: int) -> str:
    found = _TO_CLAUSE_END.match(text, place)
    return found.group().strip() if found else ""


def turn_comparison(report: Report, rng: Random) -> Iterator[Change]:
    """Better becomes worse, unchanged becomes changed; or a change is claimed where there is no earlier study."""
    has_prior = report.comparison.strip().lower().rstrip(".") not in {"", *_none()}
    if has_prior:
        for sentence in editable(report):
            yield from _turn_change(report, sentence)
    elif not any(tells_of_before(t) for t in (report.findings, report.impression, report.indication)):
        yield from _claim_change(report)


def _none() -> frozenset[str]:
    return words("comparison.none") | {"none available", "no priors", "no prior", "not available", "no prior studies"}


def _turn_change(report: Report, sentence: Sentence) -> Iterator[Change]:
    wanted = named(sentence.text) or topics(sentence.text)
    about = sharing(report.findings, wanted)
    pairs = [(*p, "swapped") for a, b in alternatives("comparison.swaps") for p in ((a, b), (b, a))]
    pairs += [(said, wrong, "changed") for said, wrong in replacements("comparison.changes")]
    for said, wrong, sub in sorted(pairs, key=lambda pair: -len(pair[0])):
        match = phrase(said).search(sentence.text)
        supported = match and any(holds(s.text, said) for s in about) and not any(holds(s.text, wrong) for s in about)
        if match and supported and not negated(sentence.text[: match.start()]):
            if said in _BARE_CHANGE and not _is_change(sentence.text, match):
                continue
            yield swap(f"comparison/{sub}", sentence.start + match.start(), match.group(), wrong)
            return


def _is_change(text: str, match: re.Match[str]) -> bool:
    """Whether "increased" tells of a change, not of a quality ("increased density")."""
    return bool(_CHANGE_BEFORE.search(text[: match.start()]) and _CHANGE_AFTER.match(text, match.end()))


def _claim_change(report: Report) -> Iterator[Change]:
    for sentence in editable(report):
        if is_noun_phrase(sentence.text) and not negated(sentence.text) and not hedged(sentence.text):
            head = lower_first(sentence.text)[:1]
            for lead in lines("comparison.unfounded"):
                yield Change(
                    sub="comparison/no-prior",
                    start=sentence.start,
                    end=sentence.start + 1,
                    text=f"{lead} {head}",
                    about=f"{lead!r} with no earlier study",
                )


def leave_out(report: Report, rng: Random) -> Iterator[Change]:
    """A sentence that must not be lost is lost, and nothing else of the impression says it."""
    sentences = split(report.impression)
    for sentence in sentences if len(sentences) > 1 else ():
        if negated(sentence.text) or hedged(sentence.text):
            continue
        others = " ".join(s.text for s in sentences if s is not sentence)
        for sub in ("critical", "important"):
            found = [stem for stem in stems(f"omitted.{sub}") if stem in sentence.text.lower()]
            minor = sub == "important" and not words("omitted.minor").isdisjoint(_plain_words(sentence.text))
            if found and not minor and _only_here(report.findings, sentence.text, others, found):
                number = _NUMBER_BEFORE.search(report.impression[: sentence.start])
                start, end = number.start() if number else sentence.start, sentence.end
                end += len(report.impression[end:]) - len(report.impression[end:].lstrip())
                start = start if end < len(report.impression) else len(report.impression[:start].rstrip())
                about = f"{sentence.text!r} was left out"
                yield Change(sub=f"omitted/{sub}", start=start, end=end, text="", about=about)
                break


def _only_here(findings: str, said: str, others: str, found: list[str]) -> bool:
    keys = named(said) or frozenset(stem[:STEM] for stem in found)
    elsewhere = any(stem in others.lower() for stem in found) or bool(keys & (named(others) | topics(others)))
    stated = [s for s in split(findings) if any(stem in s.text.lower() for stem in found)]
    return not elsewhere and bool(stated) and not any(negated(s.text) or hedged(s.text) for s in stated)


def _plain_words(text: str) -> list[str]:
    return re.findall(r"[a-z-]+", text.lower())
