"""How much of what identifies somebody the scrubber finds, and what it costs: identifiers planted in generated reports.

    python -m tests.bench.scrub_recall [--plants 20000] [--leaks 20] [--untold]

Each report has a patient with all that PID, PV1 and OBR tell. Identifiers of eight kinds, in the forms that dictation
and templates give them, are put at random places of findings, impression and draft. An identifier leaks where a
telling part of it is still there: of the scrubbed text, and of what the style memory keeps of it. Figures:
docs/learning.md.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from random import Random

from radbridge.case import Case, CaseKey, CaseState, Order, Patient, Radiologist, ReportText
from radbridge.deidentify import scrub
from radbridge.memory import remember
from radbridge.text import label_sentences, read_words, split_sentences
from radbridge_training.synth import generate_reports

QUICK, PLANTS = 300, 20_000
SECRET = b"planted"
SIGNED_AT = datetime(2026, 3, 1, tzinfo=UTC)
_GIVEN = "Jane Gregory Ludmila Marisol Anneke Tobias Quentin Rosalind Hope Mark Dawn Grace".split()
_FAMILY = "Doe Zorilla O'Brien Achterberg Villanueva Szymanski Okonkwo Lindqvist Stone Brook Young Smith-Jones".split()
_REFERRERS = "Fairweather Abernathy Castellanos Dubrovsky Featherstone Ngata".split()
_STREETS = ("Elm Street", "Quarry Road", "Harbor Avenue", "Old Mill Lane")
_TOWNS = ("Springfield", "Riverton", "Ashgrove", "Eastport")
_MONTHS = "January February March April May June July August September October November December".split()


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Whom a report is about, with the parts that are planted."""

    given: str
    family: str
    patient: Patient
    accession: str
    referrer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plant:
    """What was put into a text, and what must not be left of it."""

    kind: str
    said: str
    telling: tuple[str, ...]
    """Regular expressions; any of them found is a leak."""


@dataclass(kw_only=True)
class Recall:
    """What was found of what was planted."""

    planted: Counter[str] = field(default_factory=Counter)
    scrubbed_leaks: Counter[str] = field(default_factory=Counter)
    kept_leaks: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    """The sentences that leaked. Everybody in them is invented."""
    words: int = 0
    """That nobody planted."""
    scrubbed_words: int = 0
    kept_words: int = 0

    def share(self, kind: str = "", *, kept: bool = False) -> float:
        """Of the planted identifiers of a kind, or of all, those that are gone."""
        leaks, planted = self.kept_leaks if kept else self.scrubbed_leaks, self.planted
        return 1 - (leaks[kind] / planted[kind] if kind else leaks.total() / planted.total())


def measure(plants: int, seed: int = 29, *, told: bool = True) -> Recall:
    """Plant that many, and look for them; without what was `told` of patient and order, by patterns alone."""
    rng, recall = Random(seed), Recall()
    for report in generate_reports(seed, plants):
        person = _draw_person(rng)
        texts = {"findings": report.findings, "impression": report.impression, "draft": report.impressions["succinct"]}
        put = [(rng.choice(list(texts)), KINDS[kind](rng, person)) for kind in rng.sample(sorted(KINDS), 2)]
        clean = dict(texts)
        for place, plant in put:
            texts[place] = _insert(texts[place], plant.said, rng)
        _look(recall, person if told else replace(person, patient=Patient(), accession=""), texts, clean, put)
        if recall.planted.total() >= plants:
            break
    return recall


def _look(
    recall: Recall,
    person: Person,
    texts: Mapping[str, str],
    clean: Mapping[str, str],
    put: Sequence[tuple[str, Plant]],
) -> None:
    report = ReportText(findings=texts["findings"], impression=texts["impression"])
    case = Case(
        key=CaseKey(accession=person.accession), patient=person.patient, report=report, state=CaseState.SIGNED,
        signer=Radiologist(id="1001", name="READ^GREGORY"), signed_at=SIGNED_AT,
        order=Order(placer="", filler=person.accession),
    )  # fmt: skip
    others = (person.accession, "READ^GREGORY")
    whole = "\n".join(texts.values())
    scrubbed = scrub(whole, patient=person.patient, order=case.order, others=others, key=SECRET)
    remembered = remember(case, 1, told=(), secret=SECRET, draft=texts["draft"])
    kept = f"{remembered.findings}\n{remembered.impression}\n{remembered.draft}" if remembered else ""
    for _, plant in put:
        recall.planted[plant.kind] += 1
        own = _count(plant, "\n".join(clean.values()))  # a patient called Stone may have a stone
        recall.scrubbed_leaks[plant.kind] += _count(plant, scrubbed) > own
        if _count(plant, kept) > own:
            recall.kept_leaks[plant.kind] += 1
            recall.leaks += [f"{plant.kind}: {said}" for said in split_sentences(kept) if _count(plant, said)]
    before = Counter(read_words("\n".join(clean.values())))
    recall.words += before.total()
    recall.scrubbed_words += (before & Counter(read_words(scrubbed))).total()
    recall.kept_words += (before & Counter(read_words(kept))).total()


def _count(plant: Plant, text: str) -> int:
    return len(re.findall(rf"(?<!\w)(?:{'|'.join(plant.telling)})(?!\w)", text, re.IGNORECASE))


def _insert(text: str, said: str, rng: Random) -> str:
    """A sentence of its own, or a part of one; in capitals where the text is."""
    sentence = rng.choice(label_sentences(text))
    if rng.random() < 0.5 and not sentence.label:  # nothing comes between a label and what it is of
        whole = f"{text[: sentence.start]}{said[0].upper()}{said[1:]}. {text[sentence.start :]}"
    else:
        end = sentence.start + len(text[sentence.start : sentence.end].rstrip(" ."))
        whole = f"{text[:end]}, {said}{text[end:]}"
    return whole.upper() if text.isupper() else whole


def _draw_person(rng: Random) -> Person:
    given, family = rng.choice(_GIVEN), rng.choice(_FAMILY)
    street, town = rng.choice(_STREETS), rng.choice(_TOWNS)
    patient = Patient(
        id=f"{rng.randrange(100_000, 10_000_000)}",
        name=f"{family}^{given}^Q".upper(),
        birth_date=date(1925, 1, 1) + timedelta(days=rng.randrange(30_000)),
        phones=(f"({rng.randrange(200, 990)}) 555-{rng.randrange(1000, 9999)}",),
        address=f"{rng.randrange(10, 999)} {street}^^{town}^XY^{rng.randrange(10_000, 99_999)}",
    )
    accession = f"ACC-{rng.randrange(20, 27)}-{rng.randrange(10_000, 99_999)}"
    return Person(given=given, family=family, patient=patient, accession=accession, referrer=rng.choice(_REFERRERS))


def _plant_name(rng: Random, person: Person) -> Plant:
    given, family = person.given, person.family
    forms = (
        f"{given} {family} was examined", f"the patient, {given} {family}, was told", f"name: {family}, {given}",
        f"Ms. {family} agrees", f"Mrs. {given} {family} was seen", f"{family.upper()}^{given.upper()}",
        f"PATIENT: {given.upper()} {family.upper()}", f"{given} Q. {family} has had this before",
        f"as with {family}, {given} Q", f"Mr. {family}'s prior study", f"{given.lower()} {family.lower()} as dictated",
        f"Miss {given} came in",
    )  # fmt: skip
    said = rng.choice(forms)
    parts = [part for part in (given, family) if part.casefold() in said.casefold()]
    return Plant(kind="name", said=said, telling=tuple(map(re.escape, parts)))


def _plant_mrn(rng: Random, person: Person) -> Plant:
    number = person.patient.id
    forms = (f"MRN {number}", f"MRN: 00{number}", f"medical record number {number}", f"chart {number} pulled",
             f"number {number[:3]}-{number[3:]}", f"({number})")  # fmt: skip
    return Plant(kind="MRN", said=rng.choice(forms), telling=(rf"0*{number[:3]}-?{number[3:]}",))


def _plant_accession(rng: Random, person: Person) -> Plant:
    number = person.accession
    forms = (f"accession {number}", f"Acc# {number}", f"study {number}", f"see {number.replace('-', '')}",
             f"order {number.lower()}")  # fmt: skip
    return Plant(kind="accession", said=rng.choice(forms), telling=(rf"\S*{number[-5:]}",))


def _plant_phone(rng: Random, person: Person) -> Plant:
    own = rng.random() < 0.5
    digits = re.sub(r"\D", "", person.patient.phones[0]) if own else f"{rng.randrange(2_000_000_000, 9_999_999_999)}"
    area, first, last = digits[:3], digits[3:6], digits[6:]
    forms = (f"call ({area}) {first}-{last}", f"phone {area}-{first}-{last}", f"at {area}.{first}.{last}",
             f"tel: {area} {first} {last}", f"pager {last}")  # fmt: skip
    return Plant(kind="phone", said=rng.choice(forms), telling=(rf"\S*{last}",))


def _plant_address(rng: Random, person: Person) -> Plant:
    street, town, place = (person.patient.address.split("^")[i] for i in (0, 2, 4))
    short = street.replace("Street", "St").replace("Road", "Rd").replace("Avenue", "Ave").replace("Lane", "Ln")
    name = street.split()[1]
    forms = ((f"lives at {street}", name), (f"from {short}., {town}", f"{name} (?:st|rd|ave|ln)|{town}"),
             (f"transferred from {town}", town), (f"{street.upper()}, {town.upper()}", f"{name} \\w+ {town}|{town}"),
             (f"ZIP {place}", place))  # fmt: skip
    said, telling = rng.choice(forms)
    return Plant(kind="address", said=said, telling=(telling,))


def _plant_birth_date(rng: Random, person: Person) -> Plant:
    born = person.patient.birth_date
    assert born is not None
    said = rng.choice(("DOB {}", "born {}", "date of birth: {}")).format(said_date := _say(born, rng))
    return Plant(kind="birth date", said=said, telling=(re.escape(said_date),))


def _plant_date(rng: Random, person: Person) -> Plant:
    day = date(2019, 1, 1) + timedelta(days=rng.randrange(2_600))
    said_date = _say(day, rng)
    said = rng.choice(("compared with CT of {}", "seen {}", "as on {}", "since the study dated {}")).format(said_date)
    return Plant(kind="date", said=said, telling=(re.escape(said_date),))


def _plant_referrer(rng: Random, person: Person) -> Plant:
    name = person.referrer
    forms = (f"Dr. {name} asked", f"referred by Dr. Ann {name}", f"ordered by {name}", f"discussed with {name}, MD",
             f"attending: {name}", f"Dr {name.upper()} was told")  # fmt: skip
    return Plant(kind="referrer", said=rng.choice(forms), telling=(name,))


def _say(day: date, rng: Random) -> str:
    month = _MONTHS[day.month - 1]
    forms = (f"{day.month}/{day.day}/{day.year}", day.isoformat(), f"{month} {day.day}, {day.year}",
             f"{day.day} {month[:3]} {day.year}", f"{day.day:02}-{month[:3].upper()}-{day.year}",
             f"{day.month:02}/{day.day:02}/{day.year % 100:02}")  # fmt: skip
    return rng.choice(forms)


KINDS: Mapping[str, Callable[[Random, Person], Plant]] = {
    "name": _plant_name, "MRN": _plant_mrn, "accession": _plant_accession, "phone": _plant_phone,
    "address": _plant_address, "birth date": _plant_birth_date, "date": _plant_date, "referrer": _plant_referrer,
}  # fmt: skip


def print_recall(recall: Recall) -> Iterator[str]:
    """The table."""
    yield f"{'kind':12} {'planted':>8} {'scrubbed':>9} {'kept':>9}"
    for kind in (*KINDS, ""):
        count = recall.planted[kind] if kind else recall.planted.total()
        yield f"{kind or 'all':12} {count:8} {recall.share(kind):9.4f} {recall.share(kind, kept=True):9.4f}"
    lost = (1 - words / recall.words for words in (recall.scrubbed_words, recall.kept_words))
    yield "clean words lost: {:.2%} to the scrubber, {:.2%} to the memory".format(*lost)


def main() -> None:
    """Print the table, and some of what leaked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plants", type=int, default=PLANTS)
    parser.add_argument("--leaks", type=int, default=0, help="print so many of the sentences that leaked")
    parser.add_argument("--untold", action="store_true", help="as if no message had told of the patient")
    options = parser.parse_args()
    recall = measure(options.plants, told=not options.untold)
    print("\n".join((*print_recall(recall), *recall.leaks[: options.leaks])))


if __name__ == "__main__":
    main()
