"""A key of the journal is lost for good: it is given up, so that the journal opens without it."""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from sqlalchemy.exc import SQLAlchemyError

from radbridge.audit import What
from radbridge.cli.common import err, existing_store, noted, refuse_running
from radbridge.config import Site
from radbridge.errors import ConfigError, NotThere
from radbridge.journal import audit, keys, resealing, secrets
from radbridge.journal.losses import UNDONE
from radbridge.journal.stores import Stores, explain


def give_key_up(site: Site, id: int, reason: str, *, ask: bool, undo: bool = False) -> None:
    """Say of a key that nothing opens what it sealed, or that it is there after all, and have that noted.

    One that was given up before is noted anew: another key that was given up since may have sealed that note.
    Raises ConfigError while a gateway runs, SealError where the site's key opens it or is away, NotThere.
    """
    if not site.encryption.is_on:
        raise ConfigError(["encryption: set key_file or key_command: what is sealed from now on needs a key"])
    stores = existing_store(site, with_keys=False)  # one that can't be unwrapped is why we are here
    try:
        with stores.claim():
            if undo:
                _take_back(stores, site, id, reason)
            else:
                _give_up(stores, site, id, reason, ask=ask)
    except SQLAlchemyError as error:
        raise explain(error) from None
    finally:
        stores.dispose()


def _give_up(stores: Stores, site: Site, id: int, reason: str, *, ask: bool) -> None:
    with stores.connect() as conn:
        refuse_running(stores, conn)
        there, values = keys.load(conn), resealing.count_keys(conn).get(id, 0)
    known = next((key for key in there if key.id == id), None)
    if known is None and not values:
        raise NotThere([f"there is no key {id}, and nothing is sealed with it; `radbridge store status` shows all"])
    keys.require_lost(site.encryption, known)
    if ask:
        err.print(
            f"[red]{values:,} values are sealed with key {id}:[/] reports, drafts and audit events that nobody will "
            "read unless it turns up; notes that wait for the chain go for good. Is there no backup of its row of "
            "data_key, and no copy of the site's key that it is wrapped under?",
            highlight=False,
        )
        typer.confirm(f"Give key {id} up for good?", abort=True, err=True)
    told = {"key_id": str(id), "values": str(values), "reason": reason}
    with stores.begin() as conn:
        keys.give_up(conn, id, at=datetime.now(UTC))
        told["secrets"] = str(secrets.set_aside(conn, id))
        # Plain, which every gateway reads: it names no patient.
        notes = [noted(What.KEY_ROTATED, "audit give-up", **{**told, **more}) for more in audit.tell_loss(conn, id)]
        audit.note(conn, notes)
    err.print(f"key {id} is given up", highlight=False)


def _take_back(stores: Stores, site: Site, id: int, reason: str) -> None:
    with stores.begin() as conn:
        refuse_running(stores, conn)
        if id not in keys.lost(conn):
            raise NotThere([f"no key {id} was given up; `radbridge store status` shows all"])
        keys.take_back(conn, site.encryption, id)
        told = {UNDONE: str(id), "reason": reason, "secrets": str(secrets.put_back(conn, id))}
        audit.note(conn, [noted(What.KEY_ROTATED, "audit give-up", **told)])
    err.print(f"key {id} is taken back", highlight=False)
