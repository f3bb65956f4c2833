"""Accounts, keys and sessions on each database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, update

from radbridge.access import Role
from radbridge.errors import ConfigError
from radbridge.journal import accounts, api_keys, sessions
from radbridge.journal.accounts import Account, Attempt, Change, Stranger
from radbridge.journal.schema import accounts as rows

ALICE = Change(name="alice", actor="test", via="test", roles=frozenset({Role.OPERATOR}), secret=b"sealed")


def alice(conn: Connection) -> Account:
    found = accounts.find(conn, "alice")
    assert found is not None
    return found


def test_an_account_is_made_once(conn: Connection) -> None:
    """What was written is read back; a second of the same name is refused."""
    accounts.add(conn, [ALICE])
    assert alice(conn).roles == {Role.OPERATOR}
    assert (alice(conn).secret, alice(conn).disabled) == (b"sealed", False)
    with pytest.raises(ConfigError, match="already"):
        accounts.add(conn, [ALICE])
    with pytest.raises(ConfigError, match="no account"):
        accounts.alter(conn, [replace(ALICE, name="bob")])


def test_ten_wrong_passwords_lock(conn: Connection) -> None:
    """Nine don't, the tenth does, for a quarter of an hour; a right one before begins the count anew."""
    accounts.add(conn, [ALICE])
    wrong, right = Attempt(name="alice", reason="password", via="password"), Attempt(name="alice", via="password")
    accounts.note_attempts(conn, [wrong] * 9)
    assert not alice(conn).is_locked
    accounts.note_attempts(conn, [right, *[wrong] * 9])
    assert not alice(conn).is_locked
    accounts.note_attempts(conn, [wrong])
    assert alice(conn).is_locked
    until = alice(conn).locked_until
    assert until is not None
    assert timedelta(minutes=14) < until - datetime.now(UTC) <= timedelta(minutes=15)
    accounts.note_attempts(conn, [replace(wrong, reason="locked")] * 20)
    assert alice(conn).locked_until == until
    accounts.alter(conn, [replace(ALICE, disabled=False)])
    assert not alice(conn).is_locked


def test_somebody_from_a_provider_has_one_account(conn: Connection) -> None:
    """The first login makes it, later ones change its roles; a name that is taken here becomes another one."""
    accounts.add(conn, [ALICE])
    stranger = Stranger(issuer="https://login.example", subject="u-1", name="alice", roles=frozenset({Role.VIEWER}))
    [first] = accounts.welcome(conn, [stranger])
    [second] = accounts.welcome(conn, [replace(stranger, roles=frozenset({Role.ADMIN}))])
    assert first.id == second.id
    assert second.roles == {Role.ADMIN}
    assert first.name != "alice"
    assert alice(conn).roles == {Role.OPERATOR}
    assert len(accounts.everybody(conn)) == 2


@pytest.mark.parametrize("name", ["alice", "Alice", "pacs", "radbridge", "RadBridge", "Ehr", ""])
def test_nobody_comes_under_the_name_of_another(conn: Connection, name: str) -> None:
    """An account's, a key's, RadBridge's own, a system's of the site's file, in whatever letters: it gets a suffix."""
    accounts.add(conn, [ALICE])
    wanted = api_keys.Wanted(account="pacs", actor="test", via="test", roles=frozenset({Role.VIEWER}))
    [key] = api_keys.make(conn, [wanted])
    stranger = Stranger(
        issuer="https://login.example",
        subject="u-1",
        name=name,
        roles=frozenset({Role.TRAINER}),
        others=frozenset({"ehr"}),
    )
    [made] = accounts.welcome(conn, [stranger])
    assert made.name.startswith(f"{name or 'person'}-")
    assert accounts.welcome(conn, [stranger])[0].name == made.name
    assert alice(conn).roles == {Role.OPERATOR}
    assert not alice(conn).issuer
    found = api_keys.check(conn, key)
    assert found is not None
    assert found.roles == {Role.VIEWER}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replace(ALICE, name="radbridge"), "something else"),
        (replace(ALICE, name="Unknown"), "something else"),
        (replace(ALICE, name="a b"), "letters"),
        (replace(ALICE, name="a" * 256), "255"),
        (replace(ALICE, name="a\n"), "letters"),
        (replace(ALICE, roles=frozenset()), "open nothing"),
    ],
)
def test_an_account_that_cannot_be(conn: Connection, change: Change, said: str) -> None:
    """A name of ours, a name that is none, an account that may nothing: refused whoever asks."""
    with pytest.raises(ConfigError, match=said):
        accounts.add(conn, [change])


def test_what_the_provider_gives_is_changed_there(conn: Connection) -> None:
    """Roles and password of somebody from a provider aren't changed here, closing is; nothing at all is no change."""
    who = Stranger(issuer="https://login.example", subject="u-1", name="carol", roles=frozenset({Role.VIEWER}))
    accounts.welcome(conn, [who])
    change = Change(name="carol", actor="test", via="test")
    for wanted in (replace(change, roles=frozenset({Role.ADMIN})), replace(change, secret=b"sealed")):
        with pytest.raises(ConfigError, match="comes from"):
            accounts.alter(conn, [wanted])
    for wanted in (change, replace(ALICE, name="carol", secret=None, roles=None)):
        with pytest.raises(ConfigError, match="say what"):
            accounts.alter(conn, [wanted])
    accounts.add(conn, [ALICE])
    with pytest.raises(ConfigError, match="say what"):
        accounts.alter(conn, [replace(ALICE, secret=None, roles=frozenset())])
    accounts.alter(conn, [replace(change, disabled=True)])
    found = accounts.find(conn, "carol")
    assert found is not None
    assert found.disabled
    assert found.roles == {Role.VIEWER}


def test_a_session_does_not_grow(conn: Connection) -> None:
    """An account that gets more than it had at the login has to log in again; as much or less is had at once."""
    accounts.add(conn, [replace(ALICE, roles=frozenset({Role.VIEWER}))])
    [begun] = sessions.begin(conn, [sessions.Begin(account=alice(conn), via="password", lasts_s=3600)])
    accounts.alter(conn, [replace(ALICE, secret=None, roles=frozenset({Role.ADMIN}))])
    assert sessions.check(conn, begun.token, idle_s=900) is None
    [again] = sessions.begin(conn, [sessions.Begin(account=alice(conn), via="password", lasts_s=3600)])
    accounts.alter(conn, [replace(ALICE, secret=None, roles=frozenset({Role.OPERATOR}))])
    found = sessions.check(conn, again.token, idle_s=900)
    assert found is not None
    assert found.roles == {Role.OPERATOR}


def test_a_session_is_its_accounts(conn: Connection) -> None:
    """It has the roles that the account has now, ends with the account and with a new password, and by itself."""
    accounts.add(conn, [ALICE])
    [begun] = sessions.begin(conn, [sessions.Begin(account=alice(conn), via="password", lasts_s=3600)])
    found = sessions.check(conn, begun.token, idle_s=900)
    assert found is not None
    assert found.roles == {Role.OPERATOR}
    conn.execute(update(rows).values(roles="viewer"))
    found = sessions.check(conn, begun.token, idle_s=900)
    assert found is not None
    assert found.roles == {Role.VIEWER}
    assert sessions.check(conn, begun.token, idle_s=0) is None
    assert sessions.check(conn, "another", idle_s=900) is None
    conn.execute(update(rows).values(disabled=True))
    assert sessions.check(conn, begun.token, idle_s=900) is None
    conn.execute(update(rows).values(disabled=False))
    assert sessions.check(conn, begun.token, idle_s=900) is not None
    accounts.alter(conn, [replace(ALICE, roles=None)])
    assert sessions.check(conn, begun.token, idle_s=900) is None


@pytest.mark.parametrize(
    ("name", "roles", "scopes", "said"),
    [
        ("pacs", {}, (), "open nothing"),
        ("a b", {Role.VIEWER}, (), "letters"),
        ("anonymous", {Role.VIEWER}, (), "something else"),
        ("pacs", {}, ("patient/*.rs",), "no scope"),
        ("pacs", {}, ("system/*.rs system/*.cud",), "no scope"),
        ("alice", {Role.ADMIN}, (), "isn't admin"),
        ("bob", {Role.VIEWER}, (), "closed"),
    ],
)
def test_a_key_that_would_open_nothing(
    conn: Connection, name: str, roles: set[Role], scopes: tuple[str, ...], said: str
) -> None:
    """No role and no scope, a scope that is none, roles that its account hasn't, an account that is closed."""
    bob = replace(ALICE, name="bob", roles=frozenset({Role.VIEWER}))
    accounts.add(conn, [ALICE, bob])
    accounts.alter(conn, [Change(name="bob", actor="test", via="test", disabled=True)])
    wanted = api_keys.Wanted(account=name, actor="test", via="test", roles=frozenset(roles), scopes=scopes)
    with pytest.raises(ConfigError, match=said):
        api_keys.make(conn, [wanted])


def test_a_key_is_its_own_secret(conn: Connection) -> None:
    """It opens until it ends; its use is written at most once an hour."""
    wanted = api_keys.Wanted(
        account="pacs", actor="test", via="test", roles=frozenset({Role.VIEWER}), lives=timedelta(days=1)
    )
    [first, second] = api_keys.make(conn, [wanted, replace(wanted, lives=timedelta(seconds=-1))])
    found = api_keys.check(conn, first)
    assert found is not None
    assert api_keys.is_stale(found)
    api_keys.note_use(conn, [found.id])
    again = api_keys.check(conn, first)
    assert again is not None
    assert not api_keys.is_stale(again)
    assert api_keys.check(conn, second) is None
    assert api_keys.check(conn, first[:-2]) is None
    assert len(api_keys.everything(conn)) == 2
    api_keys.revoke(conn, [api_keys.Revocation(id=found.id, actor="test", via="test")])
    assert api_keys.check(conn, first) is None
