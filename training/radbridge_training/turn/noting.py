"""What training reads of reports and cases, in the audit trail before anything is made of it."""

from __future__ import annotations

from radbridge.audit import What
from radbridge.cli.common import noted
from radbridge.journal import audit
from radbridge.journal.stores import Stores


def note_reading(stores: Stores, what: What, command: str, **detail: str) -> None:
    """Who reads, by the account that runs the command, and what `detail` says: whose reports, how many."""
    with stores.begin() as conn:
        audit.note(conn, [noted(what, command, **detail)])
