"""What GRPO rewards: first that a text is true, then that it is the signer's. Held-out words are never read.

The rules that reward aren't those that evaluate: three in ten content words count for nothing here, so a policy that
learned to please the others has more faults on these, and `radbridge_training.gate` sees them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from radbridge.candidates.normality import Normality
from radbridge.draft import Flag, FlagKind, Section, Severity
from radbridge.edit import measure_distance
from radbridge.entities import read_entities
from radbridge.guard import Guard, find_fault
from radbridge.learning import PreferenceExample, TrainingReport
from radbridge.learning.vocabulary import is_held_out
from radbridge.text import FUNCTION_WORDS, content_words, locate_words, read_words, stem

UNTRUE = -1.0
"""The whole reward of a text with a fault: nothing else of it is counted."""
TRUE = 0.8
WARNING = 0.2
_MOST_WARNINGS = 3
STYLE = 0.3
LENGTH = 0.1
_FREE_LENGTH = 1.25
"""Over the signed text's words; what is longer costs."""
_ALWAYS_READ = frozenset(map(stem, "left right bilateral none never cannot negative absent".split()))
"""A side or a denial is no vocabulary: a reward that couldn't tell left from right would teach to mix them up."""
_NORMAL = frozenset(map(stem, "normal unremarkable negative clear intact healthy fine".split()))
"""Said beside a finding and not of it, these tell the next reader that it is nothing."""
_DOUBTS = frozenset(
    """may might could possible possibly probable probably likely perhaps potential potentially suspicious suspected
    suspect suggest suggests suggestive suggesting concern concerning questionable question equivocal presumably
    presumed apparent apparently""".split()
)
"""Who doubts everything is never wrong, and of no use."""
_TOLD_OF_ANY_WORD = frozenset(
    (
        FlagKind.LATERALITY,
        FlagKind.NEGATION,
        FlagKind.MEASUREMENT,
        FlagKind.SEX_OR_AGE,
        FlagKind.CONTRADICTION,
        FlagKind.IDENTIFIER,
        FlagKind.INSTRUCTION,
    )
)
"""Flags that count whatever word they quote, for the same reason."""

StyleOf = Callable[[str, str], float]
"""`style(prompt, answer)`: 0 to 1, the more the likelier that it is the signer's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the reward thinks of one text."""

    fault: str = ""
    """Why it is untrue, or no text at all; empty when it is neither. With one, nothing else is looked at."""
    warnings: int = 0
    style: float = 0.0
    """How much it is the signer's, 0 to 1."""
    over: float = 0.0
    """How much too long it is, 0 to 1."""

    @property
    def factual(self) -> float:
        """The gate: a true text with every warning there is has more than an untrue one may ever get."""
        return UNTRUE if self.fault else TRUE - WARNING * min(_MOST_WARNINGS, self.warnings)

    @property
    def length(self) -> float:
        """What being too long costs."""
        return -self.over

    @property
    def reward(self) -> float:
        """All of it."""
        return self.factual + STYLE * self.style + LENGTH * self.length


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What the answers to one prompt are held to."""

    example: PreferenceExample
    guard: Guard = field(repr=False)
    findings: str = field(repr=False)
    normality: Normality | None = field(repr=False)
    """None where the signed text itself calls normal what isn't: such is the signer's way to close."""
    style_of: StyleOf | None = None
    """None: the share of words that need no edit."""

    @classmethod
    def of(cls, example: PreferenceExample, report: TrainingReport | None, style_of: StyleOf | None = None) -> Truth:
        """The truth of an example: its statement, or for a whole text its report's findings."""
        if example.statement:
            said = example.statement
            normality = read_normality(said, example.chosen)
            return cls(example=example, guard=Guard(said), findings=said, normality=normality, style_of=style_of)
        if report is None:
            raise ValueError("a whole text is held to its report, and that isn't there")
        guard = Guard(
            report.findings,
            indication=report.indication,
            comparison=report.comparison,
            sex=report.sex,
            modality=report.modality,
            age=report.age,
        )
        normality = read_normality(report.findings, report.signed)
        return cls(example=example, guard=guard, findings=report.findings, normality=normality, style_of=style_of)

    def judge(self, text: str, *, finished: bool = True) -> Verdict:
        """The verdict on one answer; `finished`: whether the model ended it."""
        said, signed = text.strip(), self.example.chosen.strip()
        if not said or not finished:
            return Verdict(fault="it doesn't end" if said else "it is empty")
        flags = [flag for flag in self.guard.check(said) if not self._is_unseen(flag, said)]
        if fault := self._find_fault(said, flags):
            return Verdict(fault=fault)
        words, enough = len(read_words(said)), _FREE_LENGTH * max(1, len(read_words(signed)))
        return Verdict(
            warnings=sum(flag.severity is Severity.WARNING for flag in flags) + bool(self._add(said, _DOUBTS)),
            style=self._liken(said, signed),
            over=min(1.0, max(0.0, (words - enough) * _FREE_LENGTH / enough)),
        )

    def _find_fault(self, said: str, flags: Iterable[Flag]) -> str:
        critical = {f.kind for f in flags if f.severity is Severity.CRITICAL and f.kind != FlagKind.CRITICAL}
        if critical:
            return ", ".join(sorted(critical))
        if self.normality and not self.normality.allows(said):
            return "it calls normal what isn't"
        if not self.example.statement:
            return ""
        if self._add(said, _NORMAL):
            return "it calls normal what its statement doesn't"
        return find_fault(blank(said), blank(self.example.statement))

    def _add(self, said: str, kind: frozenset[str]) -> frozenset[str]:
        """The words of a kind that are neither in what the text is made from nor in what was signed."""
        known = f"{self.findings}\n{self.example.chosen}"
        return frozenset(_words(said) & kind - _words(known))

    def _is_unseen(self, flag: Flag, said: str) -> bool:
        """Whether all that a flag quotes is held out, and the flag is about those words."""
        if flag.kind in _TOLD_OF_ANY_WORD:
            return False
        texts = {Section.DRAFT: said, Section.FINDINGS: self.findings}
        quoted = [texts[Section(s.section)][s.start : s.end] for s in flag.spans if s.section in texts]
        words = content_words(" ".join(quoted))
        return bool(words) and all(map(is_hidden, words))

    def _liken(self, said: str, signed: str) -> float:
        if self.style_of:
            return self.style_of(self.example.prompt, said)
        return 1.0 - measure_distance(blank(said), blank(signed))


class Rewards:
    """The three functions that TRL asks, so that its logs show them apart; one verdict for all three."""

    names = ("factual", "style", "length")
    weights = (1.0, STYLE, LENGTH)

    def __init__(self, truths: Mapping[str, Truth], ends: frozenset[int]) -> None:
        """`truths` by the example's id; `ends` are the tokens that end an answer."""
        self._truths = truths
        self._ends = ends
        self._verdicts: dict[tuple[str, str, bool], Verdict] = {}
        self.functions = [self._name(name) for name in self.names]

    def judge(
        self, ids: Sequence[str], completions: Sequence[str], completion_ids: Sequence[Sequence[int]]
    ) -> list[Verdict]:
        """The verdict on each completion of the prompt of an example."""
        asked = zip(ids, completions, completion_ids, strict=True)
        return [self._judge(id_, text, bool(tokens) and tokens[-1] in self._ends) for id_, text, tokens in asked]

    def _judge(self, id_: str, text: str, finished: bool) -> Verdict:  # noqa: FBT001 - a key has no names
        key = (id_, text, finished)
        if key not in self._verdicts:
            self._verdicts[key] = self._truths[id_].judge(text, finished=finished)
        return self._verdicts[key]

    def _name(self, name: str) -> Callable[..., list[float | None]]:
        def reward(
            *, completions: list[str], completion_ids: list[list[int]], id: list[str], **_: Any
        ) -> list[float | None]:
            return [float(getattr(v, name)) for v in self.judge(id, completions, completion_ids)]

        reward.__name__ = name
        return reward


def read_normality(findings: str, signed: str) -> Normality | None:
    """What may be called normal beside these findings; None where the signer calls more so than they do."""
    normality = Normality.read(findings, read_entities(findings).entities)
    return normality if normality.allows(signed) else None


def _words(text: str) -> set[str]:
    """As they are written, and by their stems."""
    words = read_words(text)
    return {*words, *map(stem, words)}


def is_hidden(word: str) -> bool:
    """Whether a stemmed word is one that no reward reads."""
    return not word[0].isdigit() and word not in _ALWAYS_READ and is_held_out(word)


def blank(text: str) -> str:
    """`text` without its held-out content words."""
    words, places = locate_words(text)
    kept, end = [], 0
    for word, (start, stop) in zip(words, places, strict=True):
        if word not in FUNCTION_WORDS and is_hidden(stem(word)):
            kept.append(text[end:start].rstrip(" "))
            end = stop
    return "".join([*kept, text[end:]]).strip()
