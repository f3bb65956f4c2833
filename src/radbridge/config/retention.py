"""`[retention]`: how many days things are kept. 0 keeps them for ever, and that is where every key begins."""

from __future__ import annotations

from datetime import time
from typing import Annotated

from pydantic import Field

from radbridge.config.values import Section

Days = Annotated[int, Field(ge=0, le=36_500)]


class Retention(Section):
    """What the purge takes away."""

    messages_d: Days = 0
    """Bytes of messages that are settled, from their arrival on."""
    cases_d: Days = 0
    """Cases that aren't open and that nothing has touched, with all that hangs on them."""
    drafts_d: Days = 0
    """Drafts that don't stand any more, with their deliveries."""
    examples_d: Days = 0
    """Remembered reports and edits, from the signature on."""
    fhir_d: Days = 0
    """Versions of FHIR resources that aren't the newest, and resources that nothing refers to; of Subscriptions those
    that are off or in error."""
    audit_d: Days = 0
    """The audit trail; the end of what goes stays as an anchor."""
    dedupe_d: Annotated[int, Field(ge=1, le=36_500)] = 14
    """How long a purged message is still known as a duplicate when it comes again."""
    at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "03:30"
    """Local time of the daily purge."""

    @property
    def time_of_day(self) -> time:
        """`at`."""
        return time.fromisoformat(self.at)

    @property
    def is_on(self) -> bool:
        """Whether anything is ever purged."""
        return any((self.messages_d, self.cases_d, self.drafts_d, self.examples_d, self.fhir_d, self.audit_d))
