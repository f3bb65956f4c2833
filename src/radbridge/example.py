"""A signed report as an example of how its radiologist writes: de-identified, and never a source of facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

MAX_EXAMPLES = 32
"""That may be sent with a case."""
MAX_EXAMPLE_CHARS = 4_000
"""Of its findings and of its impression: longer ones are cut by whoever sends them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StyleExample:
    """One signed report."""

    id: str
    """Its name in the style memory, such as `m17`."""
    impression: Annotated[str, Field(max_length=MAX_EXAMPLE_CHARS)] = field(repr=False)
    findings: Annotated[str, Field(max_length=MAX_EXAMPLE_CHARS)] = field(default="", repr=False)
