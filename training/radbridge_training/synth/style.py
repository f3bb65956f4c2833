"""Sentences made short or full by rules that look only at how they are built, whatever words stand in them.

Nothing is added that a finding could be, and nothing is lost but lead-ins, first articles and "is seen".
"""

from __future__ import annotations

import re
from functools import cache

from radbridge_training.synth.grammar import add_article, capitalize
from radbridge_training.synth.words import load_table

_LEAD_IN = re.compile(
    r"^(?:Again seen (?:is|are)|There (?:is|are|was|were|has been|have been)|Findings are)\s+(?!to\b)"
)
_EVIDENCE = re.compile(r"\b([Nn]o|[Ww]ithout) (?:definite |)evidence (?:of|for)\b")
_ARTICLE = re.compile(r"^(?:[Tt]he|[Aa]n?) (?=[A-Za-z0-9])")
_INFERENCE = re.compile(
    r"(?:Suggestive|Suspicious|Concerning|Consistent|Compatible|Worrisome|Diagnostic|Indicative) (?:of|for|with)\b"
)
_CLAUSE = re.compile(r"\b(?:which|that|where|as)\b")
_NEGATIONS = frozenset(("No", "Without", "Negative"))
_ENDING = re.compile(r"[\s.;,:]*$")
_ADVICE = (
    (re.compile(r"^Recommend ([^.]+?)( in \d+ \w+)?$"), r"\1 is recommended\2"),
    (re.compile(r"^Consider (.+)$"), r"\1 could be considered"),
    (re.compile(r"^Correlate (with .+)$"), r"Correlation \1 is recommended"),
)


def tidy(statement: str) -> str:
    """`statement` with a capital first, one full stop last and single spaces."""
    text = _ENDING.sub("", " ".join(statement.split()))
    return capitalize(text) + ("" if text.endswith(("?", "!")) else ".")


def shorten(statement: str) -> str:
    """`statement` without lead-in, first article and "is seen": how a succinct radiologist says it."""
    text = _LEAD_IN.sub("", statement)
    text = _seen().sub("", text)
    text = _EVIDENCE.sub(r"\1", text)
    text = _ARTICLE.sub("", text)
    return tidy(text) if len(text) > 2 else statement


def spell_out(statement: str) -> str:
    """`statement` as a full sentence."""
    bare = statement.rstrip(".")
    for pattern, full in _ADVICE:
        if pattern.match(bare):
            return tidy(pattern.sub(full, bare))
    return tidy(_frame(bare)) if is_fragment(bare) else statement


def is_fragment(bare: str) -> bool:
    """Whether `bare` has no verb of its own."""
    main_clause = _CLAUSE.split(bare, maxsplit=1)[0]
    return ":" not in bare and _verbs().isdisjoint(main_clause.split())


def _frame(bare: str) -> str:
    """The noun phrase `bare` as a sentence about it."""
    words = bare.split()
    if words[0] in _NEGATIONS and len(words) > 1:
        return f"There is no evidence of {_without_negation(words)}"
    if _INFERENCE.match(bare):
        return f"Findings are {uncapitalize(bare)}"
    if words[0] in ("Normal", "Unremarkable") and words[-1] in load_table("style")["studies"]:
        return f"This is {add_article(uncapitalize(bare))}"
    return f"There {agree(bare)} {_with_article(words)}"


def agree(bare: str) -> str:
    """`is` or `are`, as the noun phrase `bare` wants it."""
    return "are" if _is_plural(bare.split()) else "is"


def split_head(bare: str) -> tuple[str, str]:
    """The noun phrase `bare` before what says where and how, and the rest, which begins with its space or comma."""
    words = bare.split()
    head = " ".join(_head(words))
    return head, bare[len(head) :]


def _without_negation(words: list[str]) -> str:
    if len(words) > 2 and words[-1] in load_table("style")["seen"]:
        words = words[:-1]
    for start in (
        ["No", "evidence", "of"],
        ["No", "evidence", "for"],
        ["Without", "evidence", "of"],
        ["Negative", "for"],
    ):
        if words[: len(start)] == start:
            return " ".join(words[len(start) :])
    return " ".join(words[1:])


def _head(words: list[str]) -> list[str]:
    ends = load_table("style")["heads_end"]
    for i, word in enumerate(words):
        if i and (word in ends or words[i - 1].endswith(",")):
            return words[:i]
    return words


def _is_plural(words: list[str]) -> bool:
    head = _head(words)[-1].rstrip(",").lower()
    return head == "foci" or (head.endswith("s") and not head.endswith(tuple(load_table("style")["mass_ends"])))


def _with_article(words: list[str]) -> str:
    head = _head(words)[-1].rstrip(",").lower()
    text = uncapitalize(" ".join(words))
    bare = words[0].lower() in ("a", "an", "the", "multiple", "several", "two", "three", "both") or _is_plural(words)
    return add_article(text) if head in load_table("style")["countable"] and not bare else text


def uncapitalize(text: str) -> str:
    """`text` with its first letter small, unless the word is an abbreviation, a code or one letter that isn't "a"."""
    word = text.split(maxsplit=1)[0]
    is_code = any(c.isupper() or c.isdigit() for c in word[1:]) or word in "BCDEFGHIJ"
    return text if is_code else text[:1].lower() + text[1:]


@cache
def _seen() -> re.Pattern[str]:
    words = "|".join(load_table("style")["seen"])
    return re.compile(rf"\s(?:is|are|was|were)(?: again| also|) (?:{words})\b(?! (?:to|that|as)\b)")


@cache
def _verbs() -> frozenset[str]:
    return frozenset(load_table("style")["verbs"])
