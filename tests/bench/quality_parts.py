"""The parts of docs/quality.md: each measures one thing, on generated reports or on a stranger's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from radbridge.evaluation.datatables import SECTIONS, DataCounter
from radbridge.evaluation.printing import NOTHING, print_difference, print_p, print_value
from radbridge.evaluation.report import Evaluation
from radbridge.evaluation.rows import REFERENCE
from radbridge_training.adaptation import simulate
from radbridge_training.synth import generate_reports
from tests.bench.quality_aims import WHOLE, aim_at_baselines, aim_at_memory, aim_at_strangers, show_aims
from tests.bench.quality_drafts import System, copy_findings, draft, evaluate, read_rows, write_rows
from tests.bench.quality_radiologists import tell_reductions
from tests.bench.quality_tables import Section, draw, draw_levels, tabulate, write_table

SEED = 7_007
RADIOLOGISTS = 12
SIGNED = 20
"""Reports that each simulated radiologist has signed before."""
MEMORY_STEPS = (1, 5, SIGNED)
CONTEXT = ("indication", "comparison", "modality", "age", "sex")
EMBEDDED = "embedded"
COARSE = "coarse"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What there is to measure with."""

    work: Path
    """For files in between."""
    data: Path | None
    """The folder of strangers' reports; None: the generated ones alone."""
    openi: Path | None
    """The recipe's folder; None: it isn't shown."""
    quick: bool


def show_generated(bench: Bench) -> Section:
    """What the generator's reports are like."""
    count = 200 if bench.quick else 2_000
    counter = DataCounter()
    for number, report in enumerate(generate_reports(SEED, count)):
        counter.add(REFERENCE.validate_python(report.as_row(number)))
    head = ["modality", "reports", "share, %", *(f"{name}, words" for name in SECTIONS)]
    table = [
        [
            row.modality or "all",
            str(row.reports),
            print_value(row.share, "%"),
            *(f"{row.sections[name].words:.1f}" if name in row.sections else NOTHING for name in SECTIONS),
        ]
        for row in counter.close()
    ]
    return Section(name="generated", body=write_table(head, table))


def show_strangers(bench: Bench) -> Section | None:
    """Reports that nothing here was trained on."""
    if bench.data is None:
        return None
    bodies, pictures = [], {}
    sets = (
        ("mtsamples", bench.data / "mtsamples" / "reports.jsonl", None, (38.0, 30.0)),
        ("OpenI validation", bench.data / "openi" / "valid.jsonl", bench.data / "openi" / "train.jsonl", None),
    )
    for title, file, train, rouge in sets:
        references = _take(file, bench)
        drafts = draft(references, [System(name=EMBEDDED, settings={}), _coarse()], bench.work)
        if train is None:
            drafts[WHOLE] = copy_findings(references, bench.work)
        found = evaluate(drafts, references, train=train)
        picture = f"quality-{file.parent.name}.svg"
        pictures[picture] = draw(found, f"Drafts of {title}")
        bodies.append(_show(f"{title}: {found.reports} reports", found, picture))
        bodies.append(show_aims(aim_at_strangers(found, EMBEDDED, rouge=rouge)))
        bodies += [_list(found.verdicts)] if found.verdicts else []
    return Section(name="strangers", body="\n\n".join(bodies), pictures=pictures)


def show_memory(bench: Bench) -> Section:
    """Radiologists whom nothing was trained on, before and after they signed."""
    references, memories = _simulate_radiologists(bench)
    systems = [System(name="no memory", settings={})]
    systems += [System(name=f"{n} signed", settings={}, memory=memories[n]) for n in MEMORY_STEPS]
    found = evaluate(draft(references, systems, bench.work), references)
    rows = [
        [
            note.other,
            print_difference(note.comparison.difference, "%"),
            print_p(note.p_corrected),
        ]
        for note in found.comparisons
        if note.figure == "edit_distance" and note.subset == "all"
    ]
    compared = write_table(["no memory less", "edit distance, points", "p, corrected"], rows)
    picture = "quality-memory.svg"
    aims = show_aims(aim_at_memory(found, systems[0].name, systems[-1].name))
    each = "quality-radiologists.svg"
    pictures = {
        picture: draw(found, "Drafts with a style memory"),
        each: draw_levels(found, "radiologist", "edit_distance", "Edit distance of each radiologist's drafts, %"),
    }
    shown = _show(_tell_radiologists(found), found, picture)
    fell = tell_reductions(found, systems[0].name, systems[-1].name)
    body = "\n\n".join((shown, compared, aims, fell, f"![Edit distance by radiologist](pictures/{each})"))
    return Section(name="memory", body=body, pictures=pictures)


def show_strategies(bench: Bench) -> Section:
    """Every way from findings to a text, each with and without a memory."""
    references, memories = _simulate_radiologists(bench)
    ways: Mapping[str, Mapping[str, str]] = {
        "coarse": {"strategy": "coarse"},
        "single": {"strategy": "single"},
        "coarse to fine, extractive": {"strategy": "coarse_to_fine", "coarse_by": "extractive"},
        "coarse to fine, site LoRA": {"strategy": "coarse_to_fine", "coarse_by": "site_lora"},
    }
    systems = [
        System(name=name + told, settings=settings, memory=memory)
        for name, settings in ways.items()
        for told, memory in (("", None), (" + memory", memories[SIGNED]))
        if memory is None or settings["strategy"] != "coarse"
    ]
    found = evaluate(draft(references, systems, bench.work), references)
    picture = "quality-strategies.svg"
    pictures = {picture: draw(found, "Strategies with and without a style memory")}
    return Section(name="strategies", body=_show(_tell_radiologists(found), found, picture), pictures=pictures)


def show_context(bench: Bench) -> Section:
    """What becomes of what is known beside the findings: each left out in turn."""
    references, _ = _simulate_radiologists(bench)
    left_out = {"all told": (), **{f"without {name}": (name,) for name in CONTEXT}, "findings alone": CONTEXT}
    ways: Mapping[str, Mapping[str, str]] = {"coarse to fine": {}, "single": {"strategy": "single"}}
    systems = [
        System(name=f"{way}, {name}", settings=settings, without=without)
        for way, settings in ways.items()
        for name, without in left_out.items()
    ]
    found = evaluate(draft(references, systems, bench.work), references)
    return Section(name="context", body=tabulate(found))


def show_recipe(bench: Bench) -> Section | None:
    """A site's own model, made by the recipe for the public benchmark."""
    if bench.data is None or bench.openi is None:
        return None
    file, train = bench.data / "openi" / "valid.jsonl", bench.data / "openi" / "train.jsonl"
    references = _take(file, bench)
    made = {"recipe": "base"} | {folder.name: folder.name for folder in sorted(bench.openi.glob("decoder-*/"))}
    own = {name: {"base": str((bench.openi / folder).resolve())} for name, folder in made.items()}
    systems = [
        *(System(name=name, settings=settings) for name, settings in own.items()),
        System(name="recipe without indication", settings=own["recipe"], without=("indication",)),
        System(name=EMBEDDED, settings={}),
    ]
    found = evaluate(draft(references, systems, bench.work), references, train=train)
    picture = "quality-recipe.svg"
    shown = _show(f"OpenI validation: {found.reports} reports", found, picture)
    body = "\n\n".join((shown, show_aims(aim_at_baselines(found, "recipe")), _list(found.verdicts)))
    return Section(name="recipe", body=body, pictures={picture: draw(found, "The recipe's model on OpenI validation")})


PARTS: Mapping[str, Callable[[Bench], Section | None]] = {
    "generated": show_generated,
    "strangers": show_strangers,
    "memory": show_memory,
    "strategies": show_strategies,
    "context": show_context,
    "recipe": show_recipe,
}
"""In the order of the page. None: what it needs isn't there."""


def _coarse() -> System:
    return System(name=COARSE, settings={"strategy": "coarse"})


def _show(title: str, found: Evaluation, picture: str) -> str:
    return f"**{title}**, {found.abnormal} of them abnormal\n\n{tabulate(found)}\n\n![{title}](pictures/{picture})"


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _tell_radiologists(found: Evaluation) -> str:
    return f"{RADIOLOGISTS} simulated radiologists, {found.reports} reports"


def _simulate_radiologists(bench: Bench) -> tuple[Path, Mapping[int, Path]]:
    """Reports to draft, and for each step of `MEMORY_STEPS` what their radiologists had signed before."""
    people = tuple(simulate(SEED, RADIOLOGISTS, signed=SIGNED, asked=1 if bench.quick else 8))
    tests = [row for who in people for row in who.asked]
    signed = {n: [row for who in people for row in who.signed[-n:]] for n in MEMORY_STEPS}
    files = {n: write_rows(bench.work / f"signed-{n}.jsonl", rows) for n, rows in signed.items()}
    return write_rows(bench.work / "radiologists.jsonl", tests), files


def _take(file: Path, bench: Bench) -> Path:
    """The rows that have both texts, in a file of our own; a few of them to be quick."""
    rows = [row for row in read_rows(file) if row.get("findings", "").strip() and row.get("impression", "").strip()]
    return write_rows(bench.work / f"{file.parent.name}.jsonl", rows[:12] if bench.quick else rows)
