"""Accounts: who people and systems are, what they may, and how often somebody tried to be them."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, case, delete, func, insert, select, update

from radbridge.access import MAX_NAME, OURS, Role, check_name
from radbridge.audit import Note, Outcome, What
from radbridge.errors import ConfigError, NotThere
from radbridge.journal import audit
from radbridge.journal.locks import Lock, hold
from radbridge.journal.schema import accounts, api_keys, login_sessions

LOCK_AFTER: Final = 10
"""Wrong passwords in a row."""
LOCK_FOR: Final = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A person or a system."""

    id: str
    name: str
    kind: str
    """`person` or `system`."""
    roles: frozenset[Role]
    secret: bytes = field(default=b"", repr=False)
    """What is kept of the password; empty where there is none."""
    issuer: str = ""
    """Of the OpenID provider that knows them; empty: they have a password here."""
    subject: str = field(default="", repr=False)
    disabled: bool = False
    locked_until: datetime | None = None
    created_at: datetime

    @property
    def is_locked(self) -> bool:
        """Whether no password opens it now."""
        return self.locked_until is not None and self.locked_until > datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change of an account, and who makes it."""

    name: str
    actor: str
    via: str
    roles: frozenset[Role] | None = None
    secret: bytes | None = field(default=None, repr=False)
    disabled: bool | None = None
    kind: str = "person"
    """Of a new account."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stranger:
    """Somebody whom an OpenID provider vouches for."""

    issuer: str
    subject: str = field(repr=False)
    name: str
    """As they would be called: `radbridge.access.as_name`."""
    roles: frozenset[Role]
    others: frozenset[str] = frozenset()
    """Names that are somebody else's by the site's file, in small letters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A login that was tried, and how it went."""

    name: str
    """As it was given; it goes to the trail only where there is such an account."""
    reason: str = ""
    """Why not: `unknown`, `password`, `locked`, `disabled`, or a fixed word of OpenID's; empty: it worked."""
    via: str
    peer: str = ""


def write_roles(roles: Iterable[Role]) -> str:
    """Roles as a column holds them."""
    return " ".join(sorted(roles))


def read_roles(text: str) -> frozenset[Role]:
    """The roles in a column; a role that this version doesn't know permits nothing."""
    return frozenset(Role(word) for word in text.split() if word in set(Role))


def find(conn: Connection, name: str) -> Account | None:
    """The account of that name."""
    row = conn.execute(select(accounts).where(accounts.c.name == name)).first()
    return _read(row) if row else None


def everybody(conn: Connection) -> list[Account]:
    """All accounts, by name."""
    return [_read(row) for row in conn.execute(select(accounts).order_by(accounts.c.name))]


def add(conn: Connection, changes: Sequence[Change]) -> list[None]:
    """Make accounts. Raises ConfigError for a name that is none or is taken, and for an account that may nothing."""
    for change in changes:
        check_new(change.name, change.roles or ())
        if find(conn, change.name) is not None:
            raise ConfigError([f"there is an account {change.name!r} already; `radbridge users list` shows all"])
        row = {
            "id": secrets.token_hex(8),
            "name": change.name,
            "kind": change.kind,
            "roles": write_roles(change.roles or ()),
            "secret": change.secret or b"",
            "created_at": datetime.now(UTC),
        }
        conn.execute(insert(accounts), row)
        _tell(conn, change, "added")
    return [None] * len(changes)


def alter(conn: Connection, changes: Sequence[Change]) -> list[None]:
    """Give other roles or another password, close or open again; the latter two end the sessions.

    Raises NotThere, and ConfigError for a change that this account can't have.
    """
    for change in changes:
        _require_own(conn, change)
        values: dict[str, Any] = {}
        if change.roles is not None:
            values["roles"] = write_roles(change.roles)
        if change.secret is not None:
            values |= {"secret": change.secret, "failures": 0, "locked_until": None}
        if change.disabled is not None:
            values |= {"disabled": change.disabled, "failures": 0, "locked_until": None}
        if not values.get("roles", values):
            raise ConfigError(["say what is to change: at least one role, or whether it is closed; nothing was"])
        conn.execute(update(accounts).where(accounts.c.name == change.name).values(values))
        if change.secret is not None or change.disabled:
            conn.execute(delete(login_sessions).where(login_sessions.c.account == change.name))
        _tell(conn, change, " ".join(sorted(values.keys() - {"failures", "locked_until"})))
    return [None] * len(changes)


def _require_own(conn: Connection, change: Change) -> None:
    """There is such an account, and somebody from an OpenID provider has their password and roles there."""
    found = find(conn, change.name)
    if found is None:
        raise NotThere([f"there is no account {change.name!r}; `radbridge users list` shows all"])
    if found.issuer and not (change.roles is None and change.secret is None):
        raise ConfigError([f"{change.name} comes from {found.issuer}, which has the password and gives the roles"])


def check_new(name: str, opens: Collection[str]) -> None:
    """Raise ConfigError for what can't be the name of an account or a key, and for one that would open nothing."""
    try:
        check_name(name)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    if not opens:
        raise ConfigError([f"{name} would open nothing: give at least one role, or a scope to a key"])


def note_attempts(conn: Connection, attempts: Sequence[Attempt]) -> list[None]:
    """Count wrong passwords, lock after too many, begin anew after a right one; each is in the audit trail."""
    now = datetime.now(UTC)
    for attempt in attempts:
        where = accounts.c.name == attempt.name
        if attempt.reason == "password":
            failures = accounts.c.failures + 1
            lock = case((failures >= LOCK_AFTER, now + LOCK_FOR), else_=accounts.c.locked_until)
            left = case((failures >= LOCK_AFTER, 0), else_=failures)
            conn.execute(update(accounts).where(where).values(failures=left, locked_until=lock))
        elif not attempt.reason:
            conn.execute(update(accounts).where(where).values(failures=0, locked_until=None))
        known = find(conn, attempt.name)
        audit.note(
            conn,
            [
                Note(
                    at=now,
                    what=What.LOGIN_FAILED if attempt.reason else What.LOGIN,
                    outcome=Outcome.MINOR if attempt.reason else Outcome.SUCCESS,
                    actor=known.name if known else "unknown",
                    role=write_roles(known.roles) if known else "",
                    via=attempt.via,
                    peer=attempt.peer,
                    detail={"reason": attempt.reason} if attempt.reason else {},
                )
            ],
        )
    return [None] * len(attempts)


def welcome(conn: Connection, strangers: Sequence[Stranger]) -> list[Account]:
    """The accounts of people from a provider, made at their first login; their roles are the provider's of today."""
    return [_welcome(conn, stranger) for stranger in strangers]


def _welcome(conn: Connection, stranger: Stranger) -> Account:
    who = (accounts.c.issuer == stranger.issuer) & (accounts.c.subject == stranger.subject)
    hold(conn, Lock.ACCOUNT, [stranger.name.casefold()])
    found = conn.execute(update(accounts).where(who).values(roles=write_roles(stranger.roles)))
    if not found.rowcount:
        row = {
            "id": secrets.token_hex(8),
            "name": _free(conn, stranger),
            "kind": "person",
            "roles": write_roles(stranger.roles),
            "secret": b"",
            "issuer": stranger.issuer,
            "subject": stranger.subject,
            "created_at": datetime.now(UTC),
        }
        conn.execute(insert(accounts), row)
    return _read(conn.execute(select(accounts).where(who)).one())


def _free(conn: Connection, stranger: Stranger) -> str:
    """A name that is nobody else's: no account's, key's or system's, and none that reads like theirs."""
    name = stranger.name.casefold()
    queries = (select(column).where(func.lower(column) == name) for column in (accounts.c.name, api_keys.c.account))
    if name not in {"", *OURS, *stranger.others} and not any(conn.execute(query).first() for query in queries):
        return stranger.name
    suffix = f"-{secrets.token_hex(3)}"
    return (stranger.name or "person")[: MAX_NAME - len(suffix)] + suffix


def _tell(conn: Connection, change: Change, what: str) -> None:
    detail = {"account": change.name, "changed": what}
    if change.roles is not None:
        detail["roles"] = write_roles(change.roles)
    now = datetime.now(UTC)
    audit.note(conn, [Note(at=now, what=What.ACCOUNT_CHANGED, actor=change.actor, via=change.via, detail=detail)])


def _read(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        kind=row.kind,
        roles=read_roles(row.roles),
        secret=row.secret,
        issuer=row.issuer,
        subject=row.subject,
        disabled=row.disabled,
        locked_until=row.locked_until,
        created_at=row.created_at,
    )
