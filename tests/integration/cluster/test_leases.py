"""Leases on a real PostgreSQL: one owner at a time, and nothing of a former one gets through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from radbridge.errors import LeaseLost
from radbridge.journal import leases
from radbridge.journal.stores import open_store
from tests.support.postgres import the_cluster

NAMES = [f"cases:{n}" for n in range(4)]
LONG_S = 600.0


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A journal with four leases that are nobody's."""
    cluster = the_cluster()
    engine = open_store(cluster.url(cluster.database())).writer
    with engine.begin() as conn:
        leases.prepare(conn, NAMES)
    yield engine
    engine.dispose()


def take(engine: Engine, me: str, *, at_most: int = 4) -> dict[str, int]:
    """What somebody takes."""
    with engine.begin() as conn:
        return {t.name: t.epoch for t in leases.take(conn, me, NAMES, at_most=at_most, lease_s=LONG_S)}


def expire(engine: Engine, me: str) -> None:
    """Their leases have run out."""
    with engine.begin() as conn:
        conn.execute(text("UPDATE lease SET until = until - interval '1 hour' WHERE owner = :me"), {"me": me})


def test_each_lease_has_one_owner(engine: Engine) -> None:
    """What one has taken another doesn't get, nor in the moment in which it is taken."""
    with engine.begin() as conn:
        mine = leases.take(conn, "A", NAMES, at_most=2, lease_s=LONG_S)
        theirs = take(engine, "B")
    assert [t.name for t in mine] == NAMES[:2]
    assert sorted(theirs) == NAMES[2:]
    assert take(engine, "C") == {}
    assert all(t.clean for t in mine)


def test_a_silent_owner_is_replaced_and_kept_out(engine: Engine) -> None:
    """Whoever went silent loses its leases, is told so at its next write, and the taker knows that it died."""
    held = take(engine, "A")
    expire(engine, "A")
    with engine.begin() as conn:
        leases.fence(conn, "A", held)  # nobody has taken them: they are its own still
    with engine.begin() as conn:
        taken = leases.take(conn, "B", NAMES, at_most=1, lease_s=LONG_S)
    assert [(t.name, t.epoch, t.clean) for t in taken] == [("cases:0", 2, False)]
    with engine.begin() as conn, pytest.raises(LeaseLost):
        leases.fence(conn, "A", held)
    with engine.begin() as conn:
        leases.fence(conn, "A", {"cases:1": 1})
        assert sorted(leases.renew(conn, "A", lease_s=LONG_S)) == NAMES[1:]


def test_an_old_epoch_is_no_lease(engine: Engine) -> None:
    """Work that was begun before a lease was lost is refused, though its owner has got the lease again."""
    held = take(engine, "A", at_most=1)
    with engine.begin() as conn:
        leases.release(conn, "A", list(held))
    assert take(engine, "A", at_most=1) == {"cases:0": held["cases:0"] + 1}
    with engine.begin() as conn, pytest.raises(LeaseLost):
        leases.fence(conn, "A", held)


def test_nobody_takes_a_lease_under_a_transaction(engine: Engine) -> None:
    """While a fenced transaction is open its leases can't be taken, though they ran out, and still be renewed."""
    held = take(engine, "A", at_most=1)
    expire(engine, "A")
    with engine.begin() as conn:
        leases.fence(conn, "A", held)
        assert "cases:0" not in take(engine, "B")
        with engine.begin() as other:
            assert leases.renew(other, "A", lease_s=LONG_S) == held
    expire(engine, "A")
    assert take(engine, "C") == {"cases:0": 2}


def test_the_fence_waits_for_a_taker(engine: Engine) -> None:
    """A lease that is being taken lets nothing through, once that is committed."""
    held = take(engine, "A", at_most=1)
    expire(engine, "A")

    def fence_after(conn: Connection) -> None:
        leases.fence(conn, "A", held)

    with engine.begin() as conn:
        conn.execute(text("SET LOCAL lock_timeout = '200ms'"))
        with engine.begin() as taking:
            leases.take(taking, "B", NAMES, at_most=1, lease_s=LONG_S)
        with pytest.raises(LeaseLost):
            fence_after(conn)


def test_gateways_are_counted_while_they_are_seen(engine: Engine) -> None:
    """Who beats is alive; who left, or was last seen long ago, is not, and is shown with what it still has."""
    with engine.begin() as conn:
        for id in ("A", "B"):
            leases.beat(conn, leases.Self(id=id, name=f"name {id}", version="1"))
        assert leases.count_alive(conn, within_s=LONG_S) == 2
        conn.execute(text("UPDATE gateway SET seen_at = seen_at - interval '1 hour' WHERE id = 'B'"))
        leases.take(conn, "B", NAMES, at_most=1, lease_s=LONG_S)
        assert leases.count_alive(conn, within_s=LONG_S) == 1
        assert [(m.id, m.holds, m.age_s >= 3600) for m in leases.members(conn)] == [
            ("A", (), False),
            ("B", ("cases:0",), True),
        ]
        leases.leave(conn, "A")
        assert leases.count_alive(conn, within_s=LONG_S) == 0
