"""Labels: every grave finding has one, and texts get those of what they say is there."""

from __future__ import annotations

import pytest

from radbridge.entities import MAJOR
from radbridge.entities.labels import chexpert_names, label_names, load_labels, read_labels
from radbridge.entities.lexicon import TIERS
from radbridge.entities.tables import read_tables
from radbridge.evaluation.normal import is_normal


def test_the_table_names_what_there_is() -> None:
    """Every concept and site that the table names is in the lexicon, and every label stands in one group only."""
    tables, labels = read_tables(()), load_labels()
    assert set(labels.specific) | set(labels.general) <= set(tables["findings"]) | set(tables["devices"])
    assert {site for sites in labels.sited.values() for site in sites} <= set(tables["sites"])
    assert {label for sites in labels.sited.values() for label in sites.values()} <= set(label_names())
    assert set(labels.sited) <= set(labels.groups["general"])
    assert len(set(label_names())) == len(label_names())


def test_no_grave_finding_is_without_a_label() -> None:
    """Each critical or major concept counts for a label: leaving it out can't go unnoticed."""
    tables, labels = read_tables(()), load_labels()
    entries = tables["findings"] | tables["devices"]
    listed = set(labels.specific) | set(labels.general)

    def is_labelled(name: str) -> bool:
        return name in listed or any(map(is_labelled, entries[name].get("broader", ())))

    grave = {name for name, entry in entries.items() if TIERS[entry.get("tier", "minor")] >= MAJOR}
    assert len(grave) > 300
    assert {name for name in grave if not is_labelled(name)} == set()


def test_the_thirteen_of_chexpert() -> None:
    """CheXpert's findings are there by their names, without the absence of all."""
    assert len(chexpert_names()) == 13
    assert "no_finding" not in label_names()


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Moderate left pleural effusion with adjacent atelectasis.", {"pleural_effusion", "atelectasis"}),
        ("Left lower lobe consolidation, possibly pneumonia.", {"consolidation", "pneumonia"}),
        ("No pneumothorax. Normal heart size.", set()),
        ("Previously seen pneumothorax has resolved.", set()),
        ("Status post CABG.", set()),
        ("Nodule in the right upper lobe.", {"lung_lesion"}),
        ("Mass in the adrenal gland.", {"adrenal_lesion"}),
        ("Subdural hematoma with midline shift.", {"intracranial_hemorrhage", "mass_effect"}),
        ("Left ureteral stone with hydronephrosis.", {"urinary_stone", "hydronephrosis"}),
        ("Endotracheal tube in good position.", {"support_devices"}),
        ("", set()),
    ],
)
def test_labels_of_texts(text: str, labels: set[str]) -> None:
    """What is there, if only possibly, counts by its most specific label; what is denied, past or gone doesn't."""
    assert read_labels(text) == labels


@pytest.mark.parametrize(
    ("impression", "expected"),
    [
        ("No acute cardiopulmonary abnormality.", True),
        ("1. Normal heart. 2. Clear lungs.", True),
        ("Stable appearance of the chest. No active disease.", True),
        ("Small left effusion. No pneumothorax.", False),
        ("No acute disease. Recommend a repeat study in six weeks.", False),
        ("Unchanged right lung nodule.", False),
        ("", False),
    ],
)
def test_normal_impressions(impression: str, expected: bool) -> None:
    """An impression is normal when each sentence says so and none tells a finding."""
    assert is_normal(impression) is expected
