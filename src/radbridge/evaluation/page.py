"""One HTML page with everything that was measured: a single file, no script, nothing fetched, for screen and paper."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from radbridge.evaluation.group_panels import show_costs, show_data, show_subgroups
from radbridge.evaluation.markup import Html, join, table, tag
from radbridge.evaluation.panels import (
    plot_figures,
    show_comparisons,
    show_figures,
    show_labels,
    show_legend,
    show_origins,
)
from radbridge.evaluation.report import Evaluation
from radbridge.evaluation.subgroups import LEAST, call_out
from radbridge.evaluation.svg import read_beside

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(evaluation: Evaluation) -> str:
    """The page. Equal evaluations make equal bytes."""
    parts = list(_parts(evaluation))
    links = (tag("a", title, href=f"#{anchor}") for anchor, title, _ in parts)
    sections = (tag("section", tag("h2", title), content, id=anchor) for anchor, title, content in parts)
    head = tag(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("title", "Drafts, evaluated"),
        tag("style", Html(read_beside("page.css")), Html(read_beside("plot.css"))),
    )
    body = tag("body", _title(evaluation), tag("nav", *links), tag("main", _verdicts(evaluation), *sections))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _parts(evaluation: Evaluation) -> Iterator[tuple[str, str, Html]]:
    """Anchor, title and content of each section that has something to show."""
    legend = show_legend(evaluation.systems)
    figures = show_figures(evaluation, lambda system: system.figures, "Best in bold; 95 % bootstrap intervals below")
    origins = show_origins(evaluation.systems)
    yield "systems", "Side by side", join((legend, plot_figures(evaluation, lambda s: s.figures), figures, origins))
    if evaluation.abnormal:
        told = f"{evaluation.abnormal:,} of {evaluation.reports:,} signed reports tell something abnormal."
        figures = show_figures(evaluation, lambda system: system.abnormal, "The same figures over these reports alone")
        plots = plot_figures(evaluation, lambda system: system.abnormal)
        yield "abnormal", "Abnormal reports only", join((tag("p", told), legend, plots, figures))
    if evaluation.comparisons:
        yield "comparisons", "Paired comparisons", show_comparisons(evaluation)
    yield "labels", "Findings by label", join((legend, show_labels(evaluation)))
    yield (
        "groups",
        "Who is served worse",
        join((tag("p", _read_said()["groups"].format(least=LEAST)), show_subgroups(evaluation))),
    )
    yield "data", "The reports", show_data(evaluation.data)
    if any(system.cost for system in evaluation.systems):
        yield "cost", "What drafts cost", show_costs(evaluation.systems)
    yield "reading", "How to read this", _reading(evaluation)


def _title(evaluation: Evaluation) -> Html:
    of = f"{evaluation.reports:,} signed reports, {evaluation.abnormal:,} of them abnormal"
    skipped = f"; {evaluation.skipped:,} faulty rows left out" if evaluation.skipped else ""
    return tag("header", tag("h1", "Drafts, evaluated"), tag("p", of + skipped, class_="soft"))


def _verdicts(evaluation: Evaluation) -> Html:
    items = [tag("li", sentence) for sentence in evaluation.verdicts]
    for system in evaluation.systems:
        if count := len(call_out(system.subgroups)):
            differ = "1 difference between groups is" if count == 1 else f"{count} differences between groups are"
            said = tag("a", f"{differ} significant after correction", href="#groups")
            items.append(tag("li", f"{system.name}: ", said, class_="warn"))
    return tag("ul", *items, class_="verdicts")


def _reading(evaluation: Evaluation) -> Html:
    settings = evaluation.settings
    said = _read_said()
    sentences = tag("ul", *(tag("li", sentence) for sentence in said["reading"]))
    counted = said["settings"].format(
        draws=settings.draws,
        level=100 * settings.level,
        test_draws=settings.test_draws,
        seed=settings.seed,
        radbridge=settings.radbridge,
    )
    return join((sentences, tag("p", counted), _show_files(evaluation)))


def _show_files(evaluation: Evaluation) -> Html:
    files = [("references", evaluation.references), ("train", evaluation.train)]
    files += [(system.name, system.file) for system in evaluation.systems]
    rows = [[what, note.name, f"{note.rows:,}", tag("code", note.sha256)] for what, note in files if note is not None]
    return table(["", "File", "Rows", "SHA-256"], rows)


def _read_said() -> dict[str, Any]:
    """The page's own sentences."""
    return tomllib.loads(read_beside("page.toml"))
