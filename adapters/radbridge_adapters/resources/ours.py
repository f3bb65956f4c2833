"""Which resources were written by RadBridge, or by any other machine: never to be taken for a dictation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radbridge_adapters.resources.codes import AIAST, DRAFT_SYSTEM, has_code

UNSIGNED = frozenset({"registered", "partial", "preliminary"})
"""States of a report, or of an observation, that nobody has verified."""
SIGNED = frozenset({"final", "amended", "corrected", "appended"})
WITHDRAWN = frozenset({"cancelled", "entered-in-error"})


def is_ours(resource: Mapping[str, Any]) -> bool:
    """Whether it carries an identifier of our drafts, or the label of a machine's assertion.

    A hospital's system may send our draft back to us as a resource of its own: by then only these two tell.
    """
    told = resource.get("identifier", ())
    identifiers = [told] if isinstance(told, dict) else told  # a Composition has but one
    if any(one.get("system") == DRAFT_SYSTEM for one in identifiers):
        return True
    return any(has_code(label, AIAST) for label in resource.get("meta", {}).get("security", ()))


def is_machine_text(resource: Mapping[str, Any]) -> bool:
    """Whether it is a machine's and still unverified; one that a human made final counts as that human's."""
    return is_ours(resource) and resource.get("status") not in SIGNED
