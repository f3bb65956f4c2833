"""API keys: `rbk_<id>_<secret>`, of which the SHA-256 is kept. They are long and random: no scrypt is needed."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from radbridge.access import Role
from radbridge.audit import Note, What
from radbridge.errors import ConfigError, NotThere
from radbridge.journal import audit
from radbridge.journal.accounts import Account, check_new, read_roles, write_roles
from radbridge.journal.accounts import find as find_account
from radbridge.journal.schema import api_keys
from radbridge.scopes import parse_scope

PREFIX: Final = "rbk_"
_FORM = re.compile(r"rbk_(?P<id>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_-]{43})")
_USED_S: Final = timedelta(hours=1)
"""How old the last use may be before it is written anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """A key that was given out."""

    id: str
    account: str
    """Whose it is: what the audit trail says."""
    roles: frozenset[Role]
    scopes: tuple[str, ...] = ()
    """SMART scopes instead of those of the roles; empty: the roles'."""
    created_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def holds(self) -> bool:
        """Whether it opens anything now."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > datetime.now(UTC))


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A key to make, and who wants it."""

    account: str
    actor: str
    via: str
    roles: frozenset[Role]
    scopes: tuple[str, ...] = ()
    lives: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Revocation:
    """A key to end, and who ends it."""

    id: str
    actor: str
    via: str


def make(conn: Connection, wanted: Sequence[Wanted]) -> list[str]:
    """The new keys in full: this is the only time that they are told.

    Raises ConfigError for a name that is none, and for a key that would open nothing.
    """
    return [_make(conn, one) for one in wanted]


def _make(conn: Connection, wanted: Wanted) -> str:
    check_new(wanted.account, (*wanted.roles, *wanted.scopes))
    _check_scopes(wanted.scopes)
    if owner := find_account(conn, wanted.account):
        _check_owner(owner, wanted)
    id, secret, now = secrets.token_hex(8), secrets.token_urlsafe(32), datetime.now(UTC)
    row = {
        "id": id,
        "account": wanted.account,
        "digest": _digest(secret),
        "roles": write_roles(wanted.roles),
        "scopes": " ".join(wanted.scopes),
        "created_at": now,
        "expires_at": now + wanted.lives if wanted.lives else None,
    }
    conn.execute(insert(api_keys), row)
    _tell(conn, wanted.actor, wanted.via, {"key": id, "account": wanted.account, "changed": "made"})
    return f"{PREFIX}{id}_{secret}"


def _check_scopes(scopes: Sequence[str]) -> None:
    if strange := [scope for scope in scopes if parse_scope(scope) is None]:
        raise ConfigError([f"{scope[:64]!r} is no scope, such as system/DiagnosticReport.rs" for scope in strange])


def _check_owner(owner: Account, wanted: Wanted) -> None:
    """A key has no role that its account hasn't, and is closed with it."""
    if owner.disabled:
        raise ConfigError([f"the account {owner.name} is closed: a key of it would open nothing"])
    if missing := wanted.roles - owner.roles:
        raise ConfigError([f"the account {owner.name} isn't {write_roles(missing)}: a key of it can't be either"])


def everything(conn: Connection) -> list[ApiKey]:
    """All keys, oldest first."""
    return [_read(row) for row in conn.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))]


def check(conn: Connection, text: str) -> ApiKey | None:
    """The key, where it is one that holds and its account isn't closed.

    Where there is an account, the key has no role that the account lost.
    """
    match = _FORM.fullmatch(text)
    row = match and conn.execute(select(api_keys).where(api_keys.c.id == match["id"])).first()
    if not match or not row or not hmac.compare_digest(row.digest, _digest(match["secret"])):
        return None
    key, account = _read(row), find_account(conn, row.account)
    if not key.holds or (account and account.disabled):
        return None
    return replace(key, roles=key.roles & account.roles) if account else key


def is_stale(key: ApiKey) -> bool:
    """Whether its last use is to be written again."""
    return key.used_at is None or key.used_at < datetime.now(UTC) - _USED_S


def note_use(conn: Connection, ids: Sequence[str]) -> list[None]:
    """They were used now."""
    conn.execute(update(api_keys).where(api_keys.c.id.in_(ids)).values(used_at=datetime.now(UTC)))
    return [None] * len(ids)


def revoke(conn: Connection, revocations: Sequence[Revocation]) -> list[None]:
    """End keys, from the next request on. Raises NotThere."""
    for one in revocations:
        found = conn.execute(update(api_keys).where(api_keys.c.id == one.id).values(revoked_at=datetime.now(UTC)))
        if not found.rowcount:
            raise NotThere([f"there is no key {one.id!r}; `radbridge apikeys list` shows all"])
        _tell(conn, one.actor, one.via, {"key": one.id, "changed": "revoked"})
    return [None] * len(revocations)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _tell(conn: Connection, actor: str, via: str, detail: dict[str, str]) -> None:
    audit.note(conn, [Note(at=datetime.now(UTC), what=What.ACCOUNT_CHANGED, actor=actor, via=via, detail=detail)])


def _read(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        account=row.account,
        roles=read_roles(row.roles),
        scopes=tuple(row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )
