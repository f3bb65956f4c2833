"""A draft as the Observation that dictation software shows and takes over by its code."""

from __future__ import annotations

from typing import Any

from radbridge.case import Case
from radbridge.draft import DraftImpression
from radbridge_adapters.fhircast.session import Open
from radbridge_adapters.resources.draft import Composer

_PREFIX = "radbridge-"


class Observer:
    """Writes the very Observation that goes out over FHIR, under an id that is the same for every draft of a case."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer

    def __call__(self, case: Case, draft: DraftImpression) -> dict[str, Any]:
        """The draft, `preliminary` and labelled as a machine's."""
        resources = self._composer.compose(case, draft)
        return {"resourceType": "Observation", "id": f"{_PREFIX}{resources.name}", **resources.observation}


def holds_draft(context: Open | None) -> bool:
    """Whether a draft of ours is in the content."""
    return context is not None and any(name.startswith(f"Observation/{_PREFIX}") for name in context.content)
