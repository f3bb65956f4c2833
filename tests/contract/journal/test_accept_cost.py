"""What an acknowledgement costs doesn't grow with what is stored."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from radbridge.journal import messages
from radbridge.journal.stores import Stores
from tests.support.journals import received

GROUPS, GROUP = 120, 16


def read_by_index(conn: Connection) -> int:
    """Entries that statements have read from the index which duplicates are told by."""
    conn.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    asked = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'message_by_sender'"
    return int(conn.exec_driver_sql(asked).scalar_one())


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_plan_made_for_an_empty_table_stays_a_good_one(stores: Stores) -> None:
    """A server that has counted no row yet reads a new message's key alone, not the whole table once for a group."""
    for group in range(GROUPS):
        with stores.writer.begin() as conn:
            messages.accept(conn, [received(f"{group}.{n}") for n in range(GROUP)])
    with stores.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        read_by_index(conn)
        assert read_by_index(conn) <= 2 * GROUPS * GROUP
        assert conn.exec_driver_sql("SELECT count(*) FROM message").scalar_one() == GROUPS * GROUP
