"""What a hub answers to a request that it refuses: an HTTP status and plain text (FHIRcast 3.0, 2.4 and 2.6)."""

from __future__ import annotations

from radbridge.errors import MessageFault


class CastFault(MessageFault):
    """A request that is refused whole. `status` is HTTP's; the text never quotes what was sent."""

    def __init__(self, status: int, reason: str, message: str, *, where: str = "") -> None:
        self.status = status
        super().__init__(reason, message, where=where)
