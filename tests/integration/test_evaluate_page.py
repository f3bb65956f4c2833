"""The page of `radbridge evaluate`: one file that needs nothing else, whatever the files it is about hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest

from radbridge.evaluation.cost import Cost, write_cost
from radbridge.evaluation.page import render
from radbridge.evaluation.report import Evaluation
from radbridge.evaluation.run import Evaluator, Plan

HOSTILE = "<script src='https://evil.example/x.js'>alert(1)</script>&\"'\x07"
STUDIES = (
    ("No effusion. Heart size is normal.", "No acute disease."),
    ("Small left pleural effusion. Heart size is normal.", "Small left pleural effusion."),
    ("Large right pneumothorax with shift. No effusion.", "Large right pneumothorax."),
    ("Enlarged heart. Bilateral pleural effusions.", "Cardiomegaly with bilateral effusions."),
    ("Right lower lobe opacity.", "Right lower lobe opacity, likely pneumonia."),
    ("Old left rib fracture. Clear lungs.", "Old left rib fracture."),
)
SECRET = "zyxwvut"
"""A word of the texts that may not be on the page."""
VOID = frozenset(("meta", "line", "path", "circle", "br"))


def write_rows(file: Path, rows: list[dict[str, object]]) -> Path:
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return file


def make_references(count: int) -> list[dict[str, object]]:
    """Invented signed reports of several groups, one of them with markup for a name."""
    return [make_reference(n) for n in range(count)]


def make_reference(n: int) -> dict[str, object]:
    findings, impression = STUDIES[n % len(STUDIES)]
    return {
        "id": f"r{n}",
        "findings": f"{findings} {SECRET}.",
        "impression": impression,
        "indication": "Cough.",
        "modality": "US" if n % 3 == 0 else "CT",
        "sex": "FM"[n % 2],
        "age": n % 95,
        "radiologist": f"rad/{n % 2}",
        "institution": (HOSTILE, "north", "west")[n % 3],
    }


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Two systems, one with a hostile name, beside the baselines."""
    folder = tmp_path_factory.mktemp("evaluation")
    references = make_references(66)
    copied = [{"id": row["id"], "draft": row["impression"], "stage": "fine", "ms": 12.5} for row in references]
    worse = [row | {"draft": f"No acute disease. {SECRET}"} if n % 3 == 0 else row for n, row in enumerate(copied)]
    write_cost(folder / "cost.json", Cost(drafts=66, wall_s=33.0, cpu_s=40.0, peak_rss_bytes=1 << 30))
    plan = Plan(
        drafts={
            "copied": write_rows(folder / "copied.jsonl", copied),
            HOSTILE: write_rows(folder / "worse.jsonl", worse),
        },
        references=write_rows(folder / "signed.jsonl", references),
        train=write_rows(folder / "train.jsonl", [row | {"id": f"t{row['id']}"} for row in make_references(24)]),
        costs={"copied": folder / "cost.json"},
        draws=100,
    )
    return Evaluator(plan).run(lambda _: None)


class Page(HTMLParser):
    """Reads the page, and fails on an element that isn't closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def test_one_file(evaluation: Evaluation) -> None:
    """The page names no address, runs no script, loads nothing, and forbids the browser to."""
    html = render(evaluation)
    page = Page(html)

    assert not re.search(r"url\(|@import", html)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "embed", "base"}
    for _, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "srcset", "style")}
        assert attributes.get("href", "#").startswith("#")
        assert not any("//" in value for name, value in attributes.items() if name != "aria-label")
    policies = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies
    assert policies[0].startswith("default-src 'none'")


def test_every_name_is_text(evaluation: Evaluation) -> None:
    """A system's or an institution's name is shown as it is written, and is never markup."""
    html = render(evaluation)

    assert "<script" not in html
    assert "\x07" not in html
    assert HOSTILE.replace("\x07", "\N{REPLACEMENT CHARACTER}") in Page(html).text


def test_no_report_text(evaluation: Evaluation) -> None:
    """Neither the page nor the JSON holds a word of a report."""
    assert SECRET not in render(evaluation)
    assert SECRET.encode() not in evaluation.to_json()


def test_what_is_on_it(evaluation: Evaluation) -> None:
    """Every system and baseline, every part, the verdicts and the groups that are served worse are there."""
    page = Page(render(evaluation))
    anchors = {attributes["id"] for tag, attributes in page.tags if tag == "section"}

    assert anchors == {"systems", "abnormal", "comparisons", "labels", "groups", "data", "cost", "reading"}
    assert sum(tag == "svg" and "key" not in attributes["class"] for tag, attributes in page.tags) > 5
    for shown in ("copied", "majority", "nearest", "medoid10", "whole_findings", *evaluation.verdicts):
        assert shown.replace("\x07", "\N{REPLACEMENT CHARACTER}") in page.text
    assert "significant after correction" in page.text
    assert "Edit distance for institution" in page.text
    assert "8.3 min" in page.text
    assert "not readable" in page.text


def test_links_lead_somewhere(evaluation: Evaluation) -> None:
    """Every link of the page is to a part of it."""
    page = Page(render(evaluation))
    anchors = {attributes["id"] for _, attributes in page.tags if "id" in attributes}

    assert {a["href"].removeprefix("#") for tag, a in page.tags if tag == "a"} <= anchors


def test_same_bytes(evaluation: Evaluation) -> None:
    """Equal evaluations make equal pages."""
    assert render(evaluation) == render(evaluation)


@pytest.mark.parametrize("lacking", [{"comparisons": ()}, {"abnormal": 0}, {"verdicts": ()}, {"data": ()}])
def test_parts_without_content(evaluation: Evaluation, lacking: Mapping[str, object]) -> None:
    """A page about less is shorter, and whole."""
    Page(render(replace(evaluation, **lacking)))  # type: ignore[arg-type]


def test_one_system_alone(evaluation: Evaluation) -> None:
    """One system without groups, labels or intervals makes a page too."""
    system = replace(evaluation.systems[0], subgroups=(), labels=(), cost=None, ms=None, figures={}, abnormal={})
    page = Page(render(replace(evaluation, systems=(system,), comparisons=(), verdicts=())))

    assert "no group with two levels" in page.text
    assert "No label" in page.text


def test_many_radiologists(evaluation: Evaluation) -> None:
    """Of a large group the page shows the largest levels and all that are called out, and says how many it doesn't."""
    row = next(row for row in evaluation.systems[0].subgroups if row.figure == "rougeL")
    rows = [
        replace(row, group="radiologist", level=f"rad/{n}", p_corrected=0.001 if n == 99 else 1.0) for n in range(100)
    ]
    system = replace(evaluation.systems[0], subgroups=tuple(rows))
    text = Page(render(replace(evaluation, systems=(system,), comparisons=()))).text

    assert "rad/39" in text
    assert "rad/40" not in text
    assert "rad/99" in text
    assert "59 smaller levels" in text
