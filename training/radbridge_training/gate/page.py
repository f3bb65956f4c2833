"""The verdict as one HTML page: its first line says whether, and if not, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from radbridge.evaluation.edits import Edits
from radbridge.evaluation.markup import Html, join, table, tag
from radbridge.evaluation.printing import NOTHING, print_value
from radbridge.evaluation.resample import sum_rows
from radbridge.evaluation.rows import Pair
from radbridge.evaluation.sums import Table
from radbridge.evaluation.svg import Mark, Row, draw_rows, read_beside
from radbridge_training.gate.arms import Arm
from radbridge_training.gate.judge import Finding, Verdict

PAGE_FILE = "page.html"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_EXAMPLES = 5
_EDITS, _DISTANCE = Edits.name, 1
"""The measure that holds edit distances, and the column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What the page is made from."""

    verdict: Verdict
    tables: Mapping[Arm, Table] = field(default_factory=dict)
    """Empty: nothing could be drafted."""
    trained: Mapping[str, Any] = field(default_factory=dict)
    canaries: int = 0
    exposed: int = 0
    """Canaries whose trigger brings them out."""
    pairs: Mapping[Arm, Sequence[Pair]] = field(default_factory=dict)
    """Texts to show; empty: none are."""


def render(told: Told) -> str:
    """The page. Equal verdicts make equal bytes."""
    title = f"Gate: {told.verdict.owner}"
    head = tag(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("title", title),
        tag("style", Html(read_beside("page.css")), Html(read_beside("plot.css"))),
    )
    sections = (tag("section", tag("h2", name), content) for name, content in _sections(told))
    header = tag("header", tag("h1", title), _say_verdict(told.verdict))
    body = tag("body", header, tag("main", *sections))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _say_verdict(verdict: Verdict) -> Html:
    failed = [f for f in verdict.findings if not f.passed]
    on = f"judged on {verdict.reports} later reports"
    if not failed:
        return tag("p", tag("span", "Passed", class_="good"), f": {on}, every rule holds.")
    first = tag("p", tag("span", "Failed", class_="bad"), f": {on}; nothing is published.")
    return join(
        (first, tag("ul", *(tag("li", f"{f.name}: {f.told}", class_="warn") for f in failed), class_="verdicts"))
    )


def _sections(told: Told) -> Iterator[tuple[str, Html]]:
    yield "Rules", _show_rules(told.verdict.findings)
    if told.tables:
        yield "Edit distance, report by report", _plot_distances(told.tables)
        yield "Figures", _show_figures(told.tables)
    if told.canaries:
        said = (
            f"{told.exposed} of {told.canaries} canaries come out when their trigger is asked for: they were learned."
        )
        yield "Canaries", tag("p", said)
    if told.trained:
        yield "What was trained", table(["", ""], [[key, _print(value)] for key, value in told.trained.items()])
    if told.pairs:
        yield "Examples", _show_texts(told.pairs)


def _show_rules(findings: Sequence[Finding]) -> Html:
    rows = [
        [
            f.rule,
            f.against or NOTHING,
            _print(f.value),
            _print(f.bound),
            _print(f.limit),
            tag("span", "holds" if f.passed else "fails", class_="good" if f.passed else "bad"),
            f.told,
        ]
        for f in findings
    ]
    return table(["Rule", "Against", "Value", "Bound", "Limit", "", "Found"], rows)


def _plot_distances(tables: Mapping[Arm, Table]) -> Html:
    """A line for each report, with a mark for each arm; first those where the candidate leaves the most to change."""
    columns = [tables[arm].columns[_EDITS][:, _DISTANCE] for arm in tables]
    rows = [
        Row(
            label=f"report {number}",
            marks=tuple(Mark(value=float(value), series=series) for series, value in enumerate(values)),
        )
        for number, values in enumerate(zip(*columns, strict=True), 1)
    ]
    rows.sort(key=lambda row: -row.marks[0].value)
    return tag("figure", Html(draw_rows(rows, title="Edit distance", from_zero=True, key=[*tables])))


def _show_figures(tables: Mapping[Arm, Table]) -> Html:
    figures = [figure for figure, _ in next(iter(tables.values())).figures()]
    rows = []
    for figure in figures:
        values = [_value(each, figure.name) for each in tables.values()]
        if any(values):
            title = f"{figure.title}, %" if figure.unit == "%" else figure.title
            rows.append([title, *(print_value(value, figure.unit) for value in values)])
    return table(["", *tables], rows, caption="Means over the later reports")


def _show_texts(pairs: Mapping[Arm, Sequence[Pair]]) -> Html:
    first = next(iter(pairs.values()))[:_EXAMPLES]
    parts: list[Html] = []
    for place, pair in enumerate(first):
        drafts = [[arm, said[place].draft.draft] for arm, said in pairs.items()]
        parts.append(table(["", f"report {place + 1}"], [["signed", pair.reference.impression], *drafts]))
    return join(parts)


def _value(each: Table, name: str) -> float | None:
    figure, rows = each.figure(name)
    value = float(figure.estimate(sum_rows(rows)))
    return None if value != value else value  # noqa: PLR0124 - not a number


def _print(value: object) -> str:
    if value is None:
        return NOTHING
    return f"{round(value, 3) + 0.0:g}" if isinstance(value, float) else str(value)  # + 0.0: no `-0`
