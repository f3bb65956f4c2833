"""UIDs of what we write: the same for the same draft, so that what is sent twice is one object (PS3.5 B.2)."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from radbridge.case import CaseKey

_NAMESPACE: Final = UUID("b1f7a0c4-6d0e-5a53-9b43-0f3d7f4f2c61")


def draft_uid(draft_id: str, destination: str) -> str:
    """SOP Instance UID of a draft at one destination; each may know other images, so each gets an object of its own."""
    return _make("draft", destination, draft_id)


def series_uid(draft_id: str, destination: str) -> str:
    """Series Instance UID of a draft."""
    return _make("series", destination, draft_id)


def note_uid(control_id: str) -> str:
    """SOP Instance UID of the note that takes a draft back."""
    return _make("note", control_id)


def note_series_uid(control_id: str) -> str:
    """Series Instance UID of such a note: it can't share the draft's, whose modality is another."""
    return _make("note-series", control_id)


def study_uid(key: CaseKey) -> str:
    """Study Instance UID for an accession whose images nobody has told us of."""
    return _make("study", key.issuer, key.accession)


def device_uid(ae_title: str) -> str:
    """Who observed: this gateway (TID 1004)."""
    return _make("device", ae_title)


def _make(*parts: str) -> str:
    name = "".join(f"{len(part)}:{part}" for part in parts)  # so that no two lists of parts make one name
    return f"2.25.{uuid5(_NAMESPACE, name).int}"
