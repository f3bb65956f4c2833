"""The conditions of partial indexes, for statements that are to be found by one.

Spelled out in the statement: neither SQLite nor a prepared statement of PostgreSQL uses a partial index where the state
is a parameter.
"""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, literal_column

from radbridge.journal.tables.core import deliveries, messages
from radbridge.journal.tables.states import DeliveryState, MessageState


def is_in(column: Column[str], *states: str) -> ColumnElement[bool]:
    """Whether a state is (one of) these, in the statement's own text. `states` are ours and nobody else's words."""
    spelled: list[ColumnElement[str]] = [literal_column(f"'{state}'") for state in states]
    return column == spelled[0] if len(spelled) == 1 else column.in_(spelled)


MESSAGE_STANDS = messages.c.state != literal_column(f"'{MessageState.REJECTED}'")
MESSAGE_WAITS = is_in(messages.c.state, MessageState.ACCEPTED)
MESSAGE_FAILED = is_in(messages.c.state, MessageState.REJECTED, MessageState.FAILED, MessageState.QUARANTINED)
DELIVERY_WAITS = is_in(deliveries.c.state, DeliveryState.PENDING)
DELIVERY_FAILED = is_in(deliveries.c.state, DeliveryState.DEAD, DeliveryState.REFUSED)
