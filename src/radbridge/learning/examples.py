"""Examples for the trainers: the prompts that are served, each with the answer that its radiologist signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import TypeAdapter

from radbridge.coarse import CoarseDraft, draft_coarse
from radbridge.config.values import Strategy
from radbridge.errors import ConfigError
from radbridge.example import MAX_EXAMPLE_CHARS, StyleExample
from radbridge.learning.report import TrainingReport, Use
from radbridge.memory import StyleMemory, name_of
from radbridge.prompt import PROMPT_VERSION, Context, PromptInput, Template, build_prompt
from radbridge.rewrites import align, plan_rewrites, show, split_signed
from radbridge.text import strip_controls

UNSEEN_SHARE = 0.12
"""Part of the reports that are learned without examples in view: so it is in a radiologist's first days."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferenceExample:
    """A prompt with the better and, where there is one, the worse answer."""

    id: str
    """`<id of the report>/<place of the statement>`."""
    prompt: str = field(repr=False)
    chosen: str = field(repr=False)
    """Begins with a space, so that its first word is the token it would be anywhere else; so does `rejected`."""
    rejected: str = field(default="", repr=False)
    """Empty: there is nothing to prefer the other to."""
    statement: str = field(default="", repr=False)
    """What `chosen` says in other words, and what the guard holds a rewrite to; empty for a whole text."""


EXAMPLE = TypeAdapter(PreferenceExample)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ways:
    """How the model server goes from findings to a text: what is trained is what will be served."""

    strategy: Strategy = "coarse_to_fine"
    coarse_by: Literal["extractive", "site_lora"] = "extractive"
    template: Template = Template.PLAIN
    version: str = PROMPT_VERSION
    """Of the prompts that the weights will be bound to."""
    leave_out: tuple[Context, ...] = ()

    @property
    def by_statement(self) -> bool:
        """Whether each statement is written by itself, and not the impression as a whole."""
        return self.strategy == "coarse_to_fine" and self.coarse_by == "extractive"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A report with what its prompt would have shown of its radiologist's hand when it was dictated."""

    report: TrainingReport
    examples: tuple[StyleExample, ...] = field(default=(), repr=False)


SHOWN = TypeAdapter(Shown)


def make_examples(
    reports: Iterable[TrainingReport],
    ways: Ways,
    *,
    alike: int,
    newest: int,
    unseen_share: float = UNSEEN_SHARE,
    tally: Counter[str] | None = None,
) -> Iterator[PreferenceExample]:
    """The examples of one radiologist's reports, in the order of signing.

    `alike` and `newest` are the style memory's settings. Reports that may teach nothing are passed too: they stood in
    the memory. `tally` counts `reports`, `statements` and those that were `aligned` with a signed sentence.
    Raises ConfigError for a strategy that asks no model.
    """
    shown = show_earlier(reports, alike=alike, newest=newest)
    return make_shown_examples(shown, ways, unseen_share=unseen_share, tally=tally)


def make_shown_examples(
    seen: Iterable[Shown], ways: Ways, *, unseen_share: float = UNSEEN_SHARE, tally: Counter[str] | None = None
) -> Iterator[PreferenceExample]:
    """The same, of reports with what their prompts show."""
    if ways.strategy == "coarse":
        raise ConfigError(["training: with the strategy `coarse` no model writes, so there is nothing to train"])
    counts = Counter[str]() if tally is None else tally
    for shown in seen:
        if shown.report.use is Use.NONE:
            continue
        counts["reports"] += 1
        case = replace(shown, examples=()) if is_unseen(shown.report, unseen_share) else shown
        yield from _rewrite_statements(case, ways, counts) if ways.by_statement else _write_whole(case, ways)


def show_earlier(
    reports: Iterable[TrainingReport], *, alike: int, newest: int, wanted: Collection[str] | None = None
) -> Iterator[Shown]:
    """Each report, in the order of signing, with the examples that the gateway would have sent with its case.

    `wanted`: the ids of those that are asked for; the others only stand in the memory. None: all.
    """
    memory, signed = StyleMemory(), dict[int, TrainingReport]()
    for report in sorted(reports, key=lambda r: r.order):
        about = report.findings[:MAX_EXAMPLE_CHARS]
        if wanted is None or report.id in wanted:
            numbers = memory.alike(report.radiologist, about, alike)
            numbers += memory.newest(report.radiologist, newest, without=frozenset(numbers))
            yield Shown(report=report, examples=tuple(as_example(signed[number]) for number in numbers))
        memory.keep(report.order, report.radiologist, about)
        signed[report.order] = report


def as_example(report: TrainingReport) -> StyleExample:
    """The report as the style memory shows it."""
    return StyleExample(
        id=name_of(report.order),
        findings=strip_controls(report.findings[:MAX_EXAMPLE_CHARS]),
        impression=strip_controls(report.signed[:MAX_EXAMPLE_CHARS]),
    )


def as_input(report: TrainingReport) -> PromptInput:
    """The report's case as the model server sees it, without a coarse text and without examples."""
    return PromptInput(
        findings=strip_controls(report.findings),
        indication=strip_controls(report.indication),
        comparison=strip_controls(report.comparison),
        prior=strip_controls(report.prior),
        modality=report.modality,
        sex=report.sex,
        age=report.age,
    )


def coarse_of(case: PromptInput) -> CoarseDraft:
    """The extractive text that serving would begin with."""
    return draft_coarse(
        case.findings,
        indication=case.indication,
        comparison=case.comparison,
        modality=case.modality,
        sex=case.sex,
        age=case.age,
    )


def is_unseen(report: TrainingReport, share: float) -> bool:
    """Whether the report is one of the `share` that is learned without examples: always the same ones."""
    return bool(int(report.id, 16) < share * 16 ** len(report.id))


def _rewrite_statements(shown: Shown, ways: Ways, counts: Counter[str]) -> Iterator[PreferenceExample]:
    """A row for each statement that one of the signed sentences says in the signer's words."""
    case, report = as_input(shown.report), shown.report
    coarse = coarse_of(case)
    plan = plan_rewrites(coarse.statements, shown.examples, ways.version)
    signed = align(plan.statements, split_signed(strip_controls(report.signed), coarse.statements))
    drafted = align(plan.statements, split_signed(strip_controls(report.draft), coarse.statements))
    counts["statements"] += len(plan.statements)
    counts["aligned"] += len(signed)
    told = dict(drafted) if report.use is Use.PREFERENCE else {}
    said = dict(signed)
    for place, statement in enumerate(plan.statements):
        if statement in said:
            seen = show(statement, plan, case=case, version=ways.version)
            worse = told.get(statement, "")
            yield _pair(report, seen, ways, said[statement], worse, place=place, statement=statement)


def _write_whole(shown: Shown, ways: Ways) -> Iterator[PreferenceExample]:
    """One row: the whole impression."""
    report = shown.report
    seen = replace(as_input(report), examples=shown.examples)
    if ways.strategy == "coarse_to_fine":
        seen = replace(seen, coarse=coarse_of(seen).text)
    draft = report.draft if report.use is Use.PREFERENCE else ""
    yield _pair(report, seen, ways, strip_controls(report.signed), strip_controls(draft))


def _pair(
    report: TrainingReport,
    seen: PromptInput,
    ways: Ways,
    chosen: str,
    rejected: str,
    *,
    place: int = 0,
    statement: str = "",
) -> PreferenceExample:
    better, worse = chosen.strip(), rejected.strip()
    return PreferenceExample(
        id=f"{report.id}/{place}",
        prompt=build_prompt(seen, ways.template, version=ways.version, leave_out=ways.leave_out),
        chosen=f" {better}",
        rejected=f" {worse}" if worse and worse != better else "",
        statement=statement,
    )
