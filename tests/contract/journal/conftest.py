"""Every promise of the journal, on each database."""

import pytest

from radbridge.flow import ahead, courier
from tests.support.journals import conn, empty_url, encryption, journal, patience, stores, unmade, url

__all__ = ["conn", "empty_url", "encryption", "journal", "patience", "patient_couriers", "stores", "unmade", "url"]


@pytest.fixture(autouse=True)
def patient_couriers(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that stands still a guess comes late, is old by then, and what ends needs longer to say so."""
    monkeypatch.setattr(ahead, "PATIENCE_S", 60.0)
    monkeypatch.setattr(ahead, "KEPT_S", 600.0)
    monkeypatch.setattr(courier, "LEAVE_S", 60.0)
