"""`[memory]`: what drafts see of their signer's earlier reports."""

from __future__ import annotations

from pydantic import Field, model_validator

from radbridge.config.values import Section
from radbridge.example import MAX_EXAMPLES


class Memory(Section):
    """The style memory."""

    enabled: bool = True
    """Off, no draft is shown an example and no further report is remembered; what is remembered stays.

    `radbridge memory forget` takes it away.
    """
    alike: int = Field(default=16, ge=0, le=MAX_EXAMPLES)
    """Signed reports sent with a case because their findings are alike."""
    newest: int = Field(default=8, ge=0, le=MAX_EXAMPLES)
    """Signed reports sent besides, because they are the last."""
    wait_s: float = Field(default=0.25, gt=0, le=60)
    """A draft goes without examples when they take longer."""

    @model_validator(mode="after")
    def _few_enough(self) -> Memory:
        if self.alike + self.newest > MAX_EXAMPLES:
            raise ValueError(f"alike and newest together are at most {MAX_EXAMPLES}")
        return self
