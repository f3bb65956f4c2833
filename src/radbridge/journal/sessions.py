"""Login sessions: a random word in the browser's cookie, of which only the SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from radbridge.access import Role, permissions_of
from radbridge.journal.accounts import Account, read_roles, write_roles
from radbridge.journal.schema import accounts, login_sessions

_SEEN_S: Final = 30.0
"""How old the last request may be before it is written anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """A session to begin."""

    account: Account
    via: str
    """`password` or `oidc`."""
    lasts_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A session that has begun: what the browser gets."""

    token: str = field(repr=False)
    csrf: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A session that holds."""

    digest: str = field(repr=False)
    account: str
    roles: frozenset[Role]
    """Those that the account has now."""
    csrf: str = field(repr=False)
    via: str
    seen_at: datetime

    def is_stale(self, idle_s: float) -> bool:
        """Whether its last request is to be written again."""
        return self.seen_at < datetime.now(UTC) - timedelta(seconds=min(_SEEN_S, idle_s / 4))


def begin(conn: Connection, wanted: Sequence[Begin]) -> list[Begun]:
    """Begin sessions; those that are over are forgotten."""
    now = datetime.now(UTC)
    conn.execute(delete(login_sessions).where(login_sessions.c.expires_at < now))
    return [_begin(conn, one, now) for one in wanted]


def _begin(conn: Connection, wanted: Begin, now: datetime) -> Begun:
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    row = {
        "digest": digest(token),
        "account": wanted.account.name,
        "csrf": csrf,
        "roles": write_roles(wanted.account.roles),
        "via": wanted.via,
        "created_at": now,
        "seen_at": now,
        "expires_at": now + timedelta(seconds=wanted.lasts_s),
    }
    conn.execute(insert(login_sessions), row)
    return Begun(token=token, csrf=csrf)


def check(conn: Connection, token: str, *, idle_s: float) -> Session | None:
    """The session of this token, where it isn't over and its account is open. The roles are the account's of now.

    It is over once these permit more than those of the login did: a cookie that somebody got hold of doesn't grow.
    """
    now = datetime.now(UTC)
    query = (
        select(login_sessions, accounts.c.roles.label("now_roles"))
        .join(accounts, accounts.c.name == login_sessions.c.account)
        .where(
            login_sessions.c.digest == digest(token),
            login_sessions.c.expires_at > now,
            login_sessions.c.seen_at > now - timedelta(seconds=idle_s),
            ~accounts.c.disabled,
        )
    )
    row = conn.execute(query).first()
    roles = read_roles(row.now_roles) if row else frozenset()
    if row is None or not permissions_of(roles) <= permissions_of(read_roles(row.roles)):
        return None
    return Session(
        digest=row.digest,
        account=row.account,
        roles=roles,
        csrf=row.csrf,
        via=row.via,
        seen_at=row.seen_at,
    )


def note_seen(conn: Connection, digests: Sequence[str]) -> list[None]:
    """They asked for something now."""
    conn.execute(update(login_sessions).where(login_sessions.c.digest.in_(digests)).values(seen_at=datetime.now(UTC)))
    return [None] * len(digests)


def end(conn: Connection, digests: Sequence[str]) -> list[None]:
    """They are over."""
    conn.execute(delete(login_sessions).where(login_sessions.c.digest.in_(digests)))
    return [None] * len(digests)


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
