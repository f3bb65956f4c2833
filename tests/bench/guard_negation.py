"""Denial and doubt as RadBridge reads them, beside medspaCy's ConText: who agrees, who is right, and how long it takes.

    .venv/bin/python -m tests.bench.guard_negation [--data FOLDER] [--differences] [--quick]

    .venv/bin/python -m tests.bench.guard_negation --data ../shared/data/vocab --differences

The cases are `data/negation.toml`, written by hand, and, with `--data`, one plain sentence about a pneumothorax for
each pattern of chexpert-labeler and negbio2 that can be written as one; FOLDER holds `chexpert-labeler/`, `negbio2/`.
medspaCy runs in its own environment, `.venv/medspacy`, which the first run installs. Both read the same texts, each in
its own process, one after the other, on one core. The figures go to `var/bench/guard_negation.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
import tomllib
import venv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from radbridge.entities import Certainty, Entity, Trend, read_entities
from radbridge.guard import check_draft
from tests.bench.guard.measure import Rate
from tests.bench.guard.reports import Report, read_generated
from tests.bench.serving_report import JSON_FOLDER

CASES = Path(__file__).parent / "data" / "negation.toml"
WORKER = Path(__file__).parent / "medspacy_peer.py"
ENVIRONMENT = Path(".venv/medspacy")
REQUIREMENT = "medspacy==1.3.1"
DENIED, PAST, UNCERTAIN, AFFIRMED, UNREAD = "denied", "past", "uncertain", "affirmed", "unread"

PATTERNS = {
    "chexpert-labeler/patterns/negation.txt": DENIED,
    "chexpert-labeler/patterns/pre_negation_uncertainty.txt": UNCERTAIN,
    "chexpert-labeler/patterns/post_negation_uncertainty.txt": UNCERTAIN,
    "negbio2/patterns/neg_patterns2.yml": DENIED,
    "negbio2/patterns/neg_regex_patterns.yml": DENIED,
    "negbio2/patterns/chexpert_pre_negation_uncertainty.yml": UNCERTAIN,
    "negbio2/patterns/post_negation_uncertainty.yml": UNCERTAIN,
    "negbio2/patterns/uncertainty_regex_patterns.yml": UNCERTAIN,
}
"""What each file's patterns say of their target."""
_PATTERN_CATEGORIES = {DENIED: "negation patterns", UNCERTAIN: "uncertainty patterns"}
TARGET = "pneumothorax"
_FILLED = {"XXX": TARGET, "X": TARGET, "YYY": "skin fold", "NN": "finding"}
_TAKES_TARGET = frozenset("for of out to represent likely possible".split())
"""A pattern that is described without its target and ends in one of these is followed by it."""
_OF_ORGANS = frozenset(
    "normal unremarkable limit limits enlarged heart silhouette vascular borderline obscured obscuring clear removed "
    "removal".split()
)
"""A pattern with one of these is about an organ, a view or a tube; said of a pneumothorax it isn't plain."""
_NOT_SINGULAR = frozenset(("are", "have", "oo"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A sentence with its target at `start` to `end`, and every answer that is right."""

    category: str
    text: str
    start: int
    end: int
    right: frozenset[str]
    known_wrong: bool = False

    @property
    def target(self) -> str:
        return self.text[self.start : self.end]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A case, and what each made of it."""

    case: Case
    ours: str
    theirs: str

    @property
    def who(self) -> str:
        """Who is right."""
        names = (("RadBridge", self.ours), ("medspaCy", self.theirs))
        return " and ".join(name for name, said in names if said in self.case.right) or "neither"


def read_cases() -> list[Case]:
    """The hand-written ones."""
    table = tomllib.loads(CASES.read_text(encoding="utf-8"))
    return [_read_case(category, row) for category, rows in table.items() for row in rows]


def _read_case(category: str, row: Mapping[str, Any]) -> Case:
    before, target, after = re.split(r"[\[\]]", row["text"])
    return Case(
        category=category,
        text=before + target + after,
        start=len(before),
        end=len(before) + len(target),
        right=frozenset((row["right"], row.get("also", row["right"]))),
        known_wrong=row.get("known_wrong", False),
    )


def read_patterns(folder: Path) -> list[Case]:
    """A sentence for each pattern that can be said plainly. What two files label differently is right either way."""
    labels: dict[str, set[str]] = {}
    for name, label in PATTERNS.items():
        for about in _read_abouts(folder / name):
            for sentence in _say(about):
                labels.setdefault(sentence, set()).add(label)
    return [_case_of(sentence, right) for sentence, right in labels.items()]


def _read_abouts(path: Path) -> list[str]:
    """What a file's authors say in words of each of its patterns."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".txt":
        return [line.lstrip("# ") for line in text.splitlines() if line.startswith("#") and "XXX" in line]
    return [str(row["comment"]) for row in yaml.safe_load(text) if row.get("comment")]


def _say(about: str) -> list[str]:
    """The sentences that a description stands for: `no evidence of|for XXX` is two."""
    sentences = []
    for piece in re.split(r" [|/] |, (?=XXX)|;", about):
        words = [_variants(word) for word in re.sub(r"\((\w+)\)", r"|\1", piece).split()]
        for chosen in product(*words):
            said = [word for word in chosen if word]
            said += ["XXX"] if said and said[-1] in _TAKES_TARGET and not _FILLED.keys() & set(said) else []
            plain = _OF_ORGANS.isdisjoint(said) and _NOT_SINGULAR.isdisjoint(said)
            sentence = " ".join(_FILLED.get(word, word) for word in said)
            if plain and sentence.count(TARGET) == 1 and re.fullmatch(r"[A-Za-z ]+", sentence):
                sentences.append(sentence[0].upper() + sentence[1:] + ".")
    return sentences


def _variants(word: str) -> list[str]:
    return re.split(r"[|/]", word)


def _case_of(sentence: str, labels: Iterable[str]) -> Case:
    """`resolved` and `previously seen` are filed under negation: told as past they are right as well."""
    start = sentence.lower().index(TARGET)
    right = frozenset(labels) | ({PAST} if DENIED in labels else frozenset())
    category = _PATTERN_CATEGORIES[DENIED if DENIED in labels else UNCERTAIN]
    return Case(category=category, text=sentence, start=start, end=start + len(TARGET), right=right)


def read_ours(case: Case) -> str:
    """What RadBridge reads of the target."""
    found = [e for e in read_entities(case.text).entities if e.start < case.end and e.end > case.start]
    return _name(found[0]) if found else UNREAD


def _name(entity: Entity) -> str:
    if entity.certainty is Certainty.DENIED:
        return DENIED
    if Trend.PAST in entity.trends:
        return PAST
    return AFFIRMED if entity.certainty is Certainty.DEFINITE else UNCERTAIN


def ensure_environment() -> Path:
    """The Python that has medspaCy; installed on the first run, where the package index is reached."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".made"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != REQUIREMENT:
        _PROGRESS.print(f"Installing {REQUIREMENT} into {ENVIRONMENT} (once; a minute or two)")
        venv.create(ENVIRONMENT, with_pip=True)
        install: list[str | Path] = [python, "-m", "pip", "install", "--disable-pip-version-check", REQUIREMENT]
        if subprocess.run(install, check=False, stdout=sys.stderr).returncode:
            sys.exit("medspaCy could not be installed; see pip's message above, then run this again.")
        stamp.write_text(REQUIREMENT, encoding="utf-8")
    return python


def ask_peer(python: Path, cases: Sequence[Case], reports: Sequence[str], rounds: int) -> dict[str, Any]:
    """What medspaCy answers, and its times. Its targets are the phrases that RadBridge finds: both find as much."""
    found = {text[e.start : e.end] for text in reports for e in read_entities(text).entities}
    targets = sorted({case.target.lower() for case in cases} | {" ".join(phrase.lower().split()) for phrase in found})
    asked = {
        "targets": targets,
        "cases": [{"text": case.text, "start": case.start, "end": case.end} for case in cases],
        "reports": list(reports),
        "rounds": rounds,
    }
    with _PROGRESS.status(f"medspaCy: {len(cases)} sentences, {len(reports)} reports, {rounds} rounds"):
        done = subprocess.run(
            [str(python), str(WORKER)],
            input=json.dumps(asked),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    told: dict[str, Any] = json.loads(done.stdout)
    return told | {"targets": len(targets)}


def time_ours(cases: Sequence[Case], reports: Sequence[Report], rounds: int) -> dict[str, float]:
    """Milliseconds of processor time, steadier than the clock's, for one text: the median over texts and rounds."""
    calls: dict[str, list[Callable[[], object]]] = {
        "sentence_ms": [partial(read_entities, case.text) for case in cases],
        "report_ms": [partial(read_entities, report.findings) for report in reports],
        "check_ms": [partial(check_draft, report.impression, report.findings) for report in reports],
    }
    return {name: median(_time(call) for _ in range(rounds) for call in them) for name, them in calls.items()}


def _time(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return 1e3 * (time.process_time() - began)


def tally(answered: Sequence[Answered]) -> list[tuple[str, Rate, Rate, Rate]]:
    """For all that is hand-written, then by category: agreement, and how often each is right."""
    rows = []
    hand = [a for a in answered if a.case.category not in _PATTERN_CATEGORIES.values()]
    groups = {"hand-written, all": hand}
    for a in answered:
        groups.setdefault(a.case.category, []).append(a)
    for name, them in groups.items():
        hits = (
            sum(a.ours == a.theirs for a in them),
            sum(a.ours in a.case.right for a in them),
            sum(a.theirs in a.case.right for a in them),
        )
        agree, ours, theirs = (Rate(hits=count, total=len(them)) for count in hits)
        rows.append((name, agree, ours, theirs))
    return rows


def show(answered: Sequence[Answered], ours: Mapping[str, float], theirs: Mapping[str, Any]) -> None:
    """The tables."""
    table = Table("category", "agreement", "RadBridge right", "medspaCy right", title_justify="left")
    for name, *rates in tally(answered):
        table.add_row(name, *map(str, rates))
    _OUT.print(table)
    who = Counter(a.who for a in answered if a.ours != a.theirs)
    _OUT.print(f"They differ on {who.total()}: right is {', '.join(f'{w} {n}' for w, n in who.most_common())}.")
    times = Table("median ms of one core", "RadBridge", f"medspaCy {theirs['version']}", "with spaCy's sentences")
    times.add_row("a sentence", *(f"{ms:.3f}" for ms in (ours["sentence_ms"], *_both(theirs, "sentence_ms"))))
    times.add_row(
        "findings of 110 to 150 words", *(f"{ms:.2f}" for ms in (ours["report_ms"], *_both(theirs, "report_ms")))
    )
    times.add_row("the same, and its draft: check_draft", f"{ours['check_ms']:.2f}", "–", "–")
    _OUT.print(times)


def _both(theirs: Mapping[str, Any], name: str) -> tuple[float, float]:
    return theirs[name], theirs[f"light_{name}"]


def show_differences(answered: Sequence[Answered]) -> None:
    """Each sentence that they read differently."""
    table = Table("category", "sentence", "right", "RadBridge", "medspaCy", "who is right")
    for a in answered:
        if a.ours != a.theirs:
            marked = f"{a.case.text[: a.case.start]}«{a.case.target}»{a.case.text[a.case.end :]}"
            table.add_row(a.case.category, marked, " or ".join(sorted(a.case.right)), a.ours, a.theirs, a.who)
    _OUT.print(table)


def as_json(answered: Sequence[Answered], ours: Mapping[str, float], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Everything measured."""
    rows = [
        {"category": name, "sentences": agree.total, "agree": agree.hits, "radbridge": mine.hits, "medspacy": peer.hits}
        for name, agree, mine, peer in tally(answered)
    ]
    peer = {key: value for key, value in theirs.items() if key != "answers"}
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "python": platform.python_version()}
    return {"rows": rows, "radbridge": dict(ours), "medspacy": peer, "machine": machine}


def main() -> None:
    """Read the arguments, ask both, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder with chexpert-labeler/ and negbio2/: their patterns too")
    parser.add_argument("--differences", action="store_true", help="list the sentences that they read differently")
    parser.add_argument("--quick", action="store_true", help="a small variant: shows that it runs, not how fast")
    options = parser.parse_args()
    if options.data and (absent := [name for name in PATTERNS if not (options.data / name).is_file()]):
        parser.error(f"--data needs a folder with {', '.join(absent)}")
    cases = read_cases() + (read_patterns(options.data) if options.data else [])
    typical = [r for r in read_generated(1000, 1) if 110 <= len(r.findings.split()) <= 150][
        : 5 if options.quick else 50
    ]
    rounds = 1 if options.quick else 7
    theirs = ask_peer(ensure_environment(), cases, [report.findings for report in typical], rounds)
    said = [read_ours(case) for case in cases]
    ours = time_ours(cases, typical, rounds)
    answered = [Answered(case=c, ours=o, theirs=t) for c, o, t in zip(cases, said, theirs["answers"], strict=True)]
    if options.differences:
        show_differences(answered)
    show(answered, ours, theirs)
    JSON_FOLDER.mkdir(parents=True, exist_ok=True)
    told = as_json(answered, ours, theirs) | {"reports": len(typical), "rounds": rounds, "quick": options.quick}
    (JSON_FOLDER / "guard_negation.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


_OUT = Console(file=sys.stdout, width=140)
_PROGRESS = Console(stderr=True)

if __name__ == "__main__":
    main()
