"""The demo's cases are fit to be played."""

from __future__ import annotations

from datetime import UTC, datetime

import hl7
import pytest

from radbridge.coarse import draft_coarse
from radbridge.config import Hl7v2
from radbridge.edit import Outcome, judge, measure_distance
from radbridge.events import OrderPlaced, ReportDictated, ReportSigned
from radbridge_adapters.demo.ris import Ris
from radbridge_adapters.demo.script import DemoCase, Signs, load_script
from radbridge_adapters.demo.show import show_diff
from radbridge_adapters.hl7v2 import read_control_id
from radbridge_adapters.hl7v2.accession import AccessionPlaces, parse_places
from radbridge_adapters.hl7v2.translate import Translator

SCRIPT = load_script()
EACH = pytest.mark.parametrize("case", SCRIPT.cases, ids=lambda case: case.slug)


def translate(raw: bytes) -> list[object]:
    settings = Hl7v2()
    places = AccessionPlaces(places=parse_places(settings.accession_from), issuer="", issuers={})
    return list(Translator(settings, places)(raw))


def draft_of(case: DemoCase) -> str:
    return draft_coarse(case.findings, indication=case.reason, modality=case.modality).text


def test_the_script_is_varied() -> None:
    """Ten cases or so, of several modalities, three radiologists, and everything one can do with a draft."""
    assert 8 <= len(SCRIPT.cases) <= 12
    assert len({c.slug for c in SCRIPT.cases}) == len(SCRIPT.cases)
    assert len({c.modality for c in SCRIPT.cases}) >= 6
    assert {c.signs for c in SCRIPT.cases} == set(Signs)
    assert {c.radiologist for c in SCRIPT.cases} == {r.id for r in SCRIPT.radiologists}
    assert len({r.persona for r in SCRIPT.radiologists}) == 3


@EACH
def test_what_the_ris_sends_is_read_as_it_was_written(case: DemoCase) -> None:
    """Order, dictated and signed report come through the wire's translator with everything that was put in."""
    ris = Ris(case=case, signer=SCRIPT.radiologist(case), number=7)
    (placed,), (dictated,), (signed,) = (
        translate(raw) for raw in (ris.order(), ris.dictate(), ris.sign("1. One & all.\n2. Two."))
    )
    assert isinstance(placed, OrderPlaced)
    assert isinstance(dictated, ReportDictated)
    assert isinstance(signed, ReportSigned)
    assert placed.order.reason == case.reason
    assert (placed.patient.name, placed.patient.sex, placed.patient.patient_class) == (
        case.patient,
        case.sex,
        case.patient_class,
    )
    assert dictated.report.findings.split() == case.findings.split()
    assert dictated.signer.id == case.radiologist
    assert dictated.study.modality == case.modality
    assert signed.report.impression == "1. One & all.\n2. Two."
    assert placed.key == dictated.key == signed.key
    assert placed.at <= datetime.now(UTC)


def test_every_message_has_a_control_id_of_its_own() -> None:
    """python-hl7 reads each message, and no control id comes twice."""
    runs = [Ris(case=c, signer=SCRIPT.radiologist(c), number=n) for n, c in enumerate(SCRIPT.cases)]
    sent = [raw for ris in runs for raw in (ris.order(), ris.dictate(), ris.sign("No."))]
    ids = [read_control_id(raw) for raw in sent]
    assert len(set(ids)) == len(ids)
    assert [str(hl7.parse(raw.decode()).segment("MSH")[10]) for raw in sent] == ids


@EACH
def test_the_radiologist_does_what_the_script_says(case: DemoCase) -> None:
    """Accepted drafts stay word for word, edited ones change a little, rewritten ones are the radiologist's own."""
    draft = draft_of(case)
    signed = case.sign(draft)
    outcome = judge(measure_distance(draft, signed), delivered=True)
    match case.signs:
        case Signs.ACCEPT:
            assert outcome is Outcome.ACCEPTED
        case Signs.EDIT:
            assert outcome is Outcome.EDITED
            assert case.adds in signed
        case Signs.REWRITE:
            assert signed == case.impression
            assert outcome in {Outcome.REWRITTEN, Outcome.IGNORED}


def test_an_addition_to_a_list_becomes_its_next_item() -> None:
    """A radiologist who gets a numbered list goes on numbering."""
    case = next(c for c in SCRIPT.cases if c.slug == "mr-brain")
    assert case.sign("1. One.\n2. Two.").endswith(f"\n3. {case.adds}")


def test_a_diff_shows_both_texts() -> None:
    """A diff holds every word of the draft and of the signed text, by colour on a terminal, else by marks."""
    texts = "Small effusion.", "1. Effusion.\n2. No mass."
    assert show_diff(*texts, colour=True).plain.rstrip() == "Small effusion. 1. Effusion.\n2. No mass."
    assert show_diff(*texts, colour=False).plain.rstrip() == "[-Small effusion.-] {+1. Effusion.\n2. No mass.+}"
