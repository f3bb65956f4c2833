"""What a procedure's name says of the study."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.procedure import (
    MODALITIES,
    read_body_parts,
    read_contrast,
    read_laterality,
    read_modality,
)


@pytest.mark.parametrize(
    ("name", "modality", "parts", "side", "contrast"),
    [
        ("CT CHEST W CONTRAST", "CT", "CHEST", "", "with"),
        ("CT CHEST/ABD/PELVIS WITH IV CONTRAST", "CT", "CHEST, ABDOMEN, PELVIS", "", "with"),
        ("CT ABDOMEN AND PELVIS W/O CONTRAST", "CT", "ABDOMEN, PELVIS", "", "without"),
        ("CT HEAD WITHOUT CONTRAST", "CT", "HEAD", "", "without"),
        ("CTA CHEST", "CT", "CHEST", "", "with"),
        ("MRI BRAIN W AND WO CONTRAST", "MR", "HEAD", "", "with and without"),
        ("MR BRAIN WITHOUT AND WITH CONTRAST", "MR", "HEAD", "", "with and without"),
        ("MRI KNEE LEFT WITHOUT CONTRAST", "MR", "KNEE", "L", "without"),
        ("MRI LUMBAR SPINE", "MR", "LSPINE", "", ""),
        ("XR Knee 3 Views Right", "DX", "KNEE", "R", ""),
        ("Chest X-ray PA and Lateral", "DX", "CHEST", "", ""),
        ("CXR 2V", "DX", "CHEST", "", ""),
        ("US BREAST BILATERAL", "US", "BREAST", "B", ""),
        ("MAMMOGRAM SCREENING BILAT", "MG", "BREAST", "B", ""),
        ("NM BONE SCAN", "NM", "", "", ""),
        ("PET/CT SKULL TO THIGH", "PT", "HEAD", "", ""),
        ("FLUORO ESOPHAGRAM", "RF", "", "", ""),
        ("XR HANDS LEFT AND RIGHT", "DX", "HAND", "B", ""),
        ("CT PULMONARY ANGIOGRAM", "CT", "", "", ""),
        ("", "", "", "", ""),
    ],
)
def test_names(name: str, modality: str, parts: str, side: str, contrast: str) -> None:
    """Modality, body parts, side and contrast are read from names as they are written in the field."""
    assert read_modality("", name) == modality
    assert read_body_parts(name) == parts
    assert read_laterality([], name) == side
    assert read_contrast(name) == contrast


@pytest.mark.parametrize(
    ("section", "modality"), [("CT", "CT"), ("mr", "MR"), ("NMR", "MR"), ("RUS", "US"), ("RX", "DX"), ("RAD", "")]
)
def test_service_section(section: str, modality: str) -> None:
    """OBR-24 decides when it names a modality; `RAD` doesn't."""
    assert read_modality(section, "") == modality


@pytest.mark.parametrize(
    ("modifier", "side"), [("LT", "L"), ("R", "R"), ("Left", "L"), ("50", "B"), ("BILATERAL", "B")]
)
def test_modifiers(modifier: str, side: str) -> None:
    """A modifier wins over the name."""
    assert read_laterality([modifier], "KNEE") == side


@given(st.text(max_size=60))
def test_any_name(name: str) -> None:
    """Any name gives a known modality or none, and no error."""
    assert read_modality(name, name) in {"", *MODALITIES}
    read_body_parts(name)
    read_laterality([name], name)
    read_contrast(name)
