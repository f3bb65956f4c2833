"""What a procedure's name says of the study: modality, body part, laterality, contrast. Tables, first match counts."""

from __future__ import annotations

import re
from collections.abc import Sequence

MODALITIES = ("CT", "MR", "US", "CR", "DX", "MG", "NM", "PT", "XA", "RF")
"""DICOM's, as `Study.modality` has them."""

SECTIONS = {
    "NMR": "MR",
    "MRI": "MR",
    "NMS": "NM",
    "RUS": "US",
    "OUS": "US",
    "VUS": "US",
    "CUS": "US",
    "RX": "DX",
    "XR": "DX",
    "DR": "DX",
    "PET": "PT",
    "MAM": "MG",
    "MAMMO": "MG",
    "ANG": "XA",
}
"""Diagnostic service sections (table 0074) and what sites write there -> modality."""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Z]){pattern}(?![A-Z])", re.IGNORECASE)


MODALITY_WORDS = (
    (_words("(?:PET|PT)(?:[ /-]?CT)?"), "PT"),
    (_words("(?:MAMMO\\w*|TOMOSYNTHESIS|MG)"), "MG"),
    (_words("(?:CT|CTA|CTP|CTPA|CAT SCAN|COMPUTED TOMOGRAPHY)"), "CT"),
    (_words("(?:MR|MRI|MRA|MRV|MRCP|MAGNETIC RESONANCE)"), "MR"),
    (_words("(?:US|USG|ULTRASOUND|SONO\\w*|DOPPLER|ECHO\\w*|DUPLEX)"), "US"),
    (_words("(?:NM|SPECT|SCINTI\\w*|BONE SCAN|NUCLEAR|HIDA|V/?Q)"), "NM"),
    (_words("(?:FLUORO\\w*|BARIUM|ESOPHAGRAM|UPPER GI|VCUG|HSG|RF)"), "RF"),
    (_words("(?:ANGIO\\w*|VENOGRA\\w*|EMBOLI\\w*|XA|IR)"), "XA"),
    (_words("(?:XR|CXR|KUB|DX|CR|DR|X[- ]?RAYS?|RADIOGRA\\w*|\\d VIEWS?|\\d ?V|PA AND LAT\\w*|AP)"), "DX"),
)

BODY_PARTS = (
    (_words("(?:CXR|CHEST|THORAX|LUNGS?|RIBS?|CTPA)"), "CHEST"),
    (_words("(?:ABD|ABDOM\\w*|KUB|LIVER|PANCREAS|RENAL|KIDNEYS?|HEPATIC|GALLBLADDER|MRCP|HIDA)"), "ABDOMEN"),
    (_words("(?:PELVI\\w*|UTERUS|OVAR\\w*|PROSTATE)"), "PELVIS"),
    (_words("(?:HEAD|BRAIN|SKULL|ORBITS?|SINUS(?:ES)?|FACE|FACIAL|PITUITARY|IAC)"), "HEAD"),
    (_words("(?:C[- ]?SPINE|CERVICAL(?: SPINE)?)"), "CSPINE"),
    (_words("(?:T[- ]?SPINE|THORACIC SPINE)"), "TSPINE"),
    (_words("(?:L[- ]?S?[- ]?SPINE|LUMBAR(?: SPINE)?|LUMBOSACRAL)"), "LSPINE"),
    (_words("SPINE"), "SPINE"),
    (_words("(?:NECK|THYROID|CAROTIDS?)"), "NECK"),
    (_words("(?:BREASTS?|MAMMO\\w*|TOMOSYNTHESIS)"), "BREAST"),
    (_words("(?:HEART|CARDIAC|CORONARY|ECHO\\w*)"), "HEART"),
    (_words("SHOULDERS?"), "SHOULDER"),
    (_words("HUMERUS"), "HUMERUS"),
    (_words("ELBOWS?"), "ELBOW"),
    (_words("FOREARMS?"), "FOREARM"),
    (_words("WRISTS?"), "WRIST"),
    (_words("(?:HANDS?|FINGERS?|THUMBS?)"), "HAND"),
    (_words("HIPS?"), "HIP"),
    (_words("FEMUR"), "FEMUR"),
    (_words("KNEES?"), "KNEE"),
    (_words("(?:TIBIA|FIBULA|TIB[/ -]?FIB)"), "TIBIA"),
    (_words("ANKLES?"), "ANKLE"),
    (_words("(?:FOOT|FEET|TOES?|CALCANEUS)"), "FOOT"),
)

LATERALITIES = (
    (_words("(?:BILATERAL|BILAT|BOTH|B/L|RT (?:AND|&) LT)"), "B"),
    (_words("(?:LEFT|LT|L)"), "L"),
    (_words("(?:RIGHT|RT|R)"), "R"),
)
_LATERALITY_NAMES = (LATERALITIES[0], (_words("(?:LEFT|LT)"), "L"), (_words("(?:RIGHT|RT)"), "R"))
"""In a name: a single letter there may be a spine level."""

CONTRASTS = (
    (
        re.compile(
            r"\b(?:WITHOUT|W/?O)\b.{0,16}?(?:\bAND\b|&|/|\+|FOLLOWED BY| )\s*\bW(?:ITH)?\b"
            r"|\bW(?:ITH)?\s*(?:AND|&|/)\s*W(?:ITH)?/?O",
            re.IGNORECASE,
        ),
        "with and without",
    ),
    (re.compile(r"\b(?:WITHOUT|W/?O)\b|\bNON[- ]?CON(?:TRAST)?\b|\bUNENHANCED\b|\bPLAIN\b", re.IGNORECASE), "without"),
    (
        re.compile(
            r"\b(?:WITH|W)\b/?\s*(?:IV |ORAL |I\.V\. )?CON|\bENHANCED\b|\+\s?C\b|\bW/?\s*C(?:ON(?:TRAST)?)?\b"
            r"|\bCTP?A\b|\bW IV\b",
            re.IGNORECASE,
        ),
        "with",
    ),
)


def read_modality(service_section: str, *names: str) -> str:
    """From a diagnostic service section (OBR-24) or a DICOM modality, else from the procedure's name."""
    section = service_section.strip().upper()
    if section in MODALITIES:
        return section
    return SECTIONS.get(section) or next((found for name in names if (found := _first(MODALITY_WORDS, name))), "")


def read_body_parts(name: str) -> str:
    """`CHEST, ABDOMEN, PELVIS`: every part named, in the table's order; the bare spine only when no part of it is."""
    parts = [part for pattern, part in BODY_PARTS if pattern.search(name)]
    return ", ".join(p for p in parts if p != "SPINE" or not any(q.endswith("SPINE") for q in parts if q != p))


def read_laterality(modifiers: Sequence[str], name: str) -> str:
    """From modifiers and body sites (OBR-15, OBR-45), else from the procedure's name."""
    for modifier in modifiers:
        if modifier.strip() == "50":
            return "B"
        if found := _first(LATERALITIES, modifier):
            return found
    sides = [side for pattern, side in _LATERALITY_NAMES if pattern.search(name)]
    return "B" if len(sides) > 1 else "".join(sides)


def read_contrast(name: str) -> str:
    """`with`, `without`, `with and without`, or nothing."""
    return _first(CONTRASTS, name)


def _first(table: Sequence[tuple[re.Pattern[str], str]], text: str) -> str:
    return next((value for pattern, value in table if pattern.search(text)), "")
