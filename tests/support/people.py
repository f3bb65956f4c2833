"""Accounts and keys of a live gateway, and the requests of those who have them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from radbridge.access import Role
from radbridge.journal import accounts, api_keys, passwords
from radbridge.journal.schema import audit_events, audit_pending
from tests.support.live import LiveGateway

PASSWORD: Final = "correct horse battery"
COST: Final = 4
"""scrypt with 16 rounds in place of 32768."""


async def add(gateway: LiveGateway, name: str, *roles: Role) -> None:
    """An account with `PASSWORD`."""
    secret = passwords.seal(PASSWORD, cost=COST)
    change = accounts.Change(name=name, actor="test", via="test", roles=frozenset(roles), secret=secret)
    await gateway.journal.write(accounts.add, change)


async def key(gateway: LiveGateway, *roles: Role, scopes: tuple[str, ...] = (), account: str = "pacs") -> str:
    """A new API key."""
    wanted = api_keys.Wanted(account=account, actor="test", via="test", roles=frozenset(roles), scopes=scopes)
    return await gateway.journal.write(api_keys.make, wanted)


def trail(gateway: LiveGateway) -> str:
    """Every note of the audit trail so far, as it is kept."""
    return gateway.journal.read_now(
        lambda conn: "\n".join(
            row.document.decode()
            for table in (audit_pending, audit_events)
            for row in conn.execute(select(table.c.document)).all()
        )
    )


def bearer(token: str) -> dict[str, str]:
    """The header that shows it."""
    return {"authorization": f"Bearer {token}"} if token else {}
