"""The words that stand in the journal's state columns."""

from __future__ import annotations

from enum import StrEnum


class MessageState(StrEnum):
    """What became of a message that came in."""

    ACCEPTED = "accepted"
    """Committed and acknowledged, not yet applied."""
    DONE = "done"
    FAILED = "failed"
    """Acknowledged, but could not be applied: an operator has to look."""
    REJECTED = "rejected"
    """Never taken in: the peer was told so."""
    QUARANTINED = "quarantined"
    """Acknowledged, but it trips a fault of ours each time that it is applied: an operator has to look."""
    DROPPED = "dropped"
    """Given up by an operator."""


class DeliveryState(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    """No longer wanted before it was ever sent, or by nobody at the other end."""
    REFUSED = "refused"
    """The destination said no for good."""
    DEAD = "dead"
    """Out of attempts."""
    DROPPED = "dropped"
    """Given up by an operator."""


class Purpose(StrEnum):
    """What a delivery is for."""

    DRAFT = "draft"
    WITHDRAWAL = "withdrawal"


class EditState(StrEnum):
    """Whether an edit may become a training example."""

    KEPT = "kept"
    DROPPED = "dropped"


class MemoryState(StrEnum):
    """Whether a signed report is remembered."""

    WAITING = "waiting"
    """To be scrubbed; nothing of its text is kept yet."""
    KEPT = "kept"
    BARRED = "barred"
    """Never to be remembered: its text may name somebody whom the journal has no word of any more."""


class LoraAction(StrEnum):
    """What was done with a LoRA version."""

    PUBLISHED = "published"
    CHALLENGED = "challenged"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    WITHDRAWN = "withdrawn"
    """The challenger's trial ended without a promotion."""
    GATED = "gated"
    """A candidate failed the gate and was never published; the event's version is the owner."""
    MARKED = "marked"
    """It was trained on something that was withdrawn: to be trained anew."""
