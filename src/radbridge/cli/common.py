"""What the commands share: the config option, the consoles, errors on one line."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from radbridge.access import OURS
from radbridge.audit import Note, Subject, What, each
from radbridge.case import Case, CaseKey
from radbridge.config import Site, load_site
from radbridge.entities import load_lexicon
from radbridge.errors import ConfigError, NotThere, RadBridgeError
from radbridge.journal import audit
from radbridge.journal.schema import gateways
from radbridge.journal.stores import Stores, explain, open_store

SILENT = timedelta(seconds=60)
"""A gateway that hasn't been seen for so long isn't running."""
PIPE_WIDTH = 160
"""Columns where no terminal says how many there are: a table in a file or a pager keeps its words whole."""

out = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, soft_wrap=True)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The site's file; without it the defaults and the environment.")
]

Result = TypeVar("Result")
Seen = Callable[[Connection], Iterable[Note]]

_OBEYED = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
"""What a terminal would obey: a peer's text is shown, and moves no cursor (C0, DEL and C1 of ISO 6429)."""


@contextmanager
def told() -> Iterator[None]:
    """Errors that were foreseen end the command with their message and status 2 (config) or 1."""
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            err.print(f"[red]config:[/] {escape(problem)}", highlight=False)
        raise typer.Exit(2) from None
    except RadBridgeError as error:
        err.print(f"[red]error:[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(1) from None


def plain(text: str, style: str = "") -> Text:
    """Text that came from outside: none of it is markup, and none of it is a terminal's to obey."""
    return Text(text.translate(_OBEYED), style)


def add_row(table: Table, *cells: str) -> None:
    """Add a row of what came from outside."""
    table.add_row(*map(plain, cells))


def account() -> str:
    """Who is at work on this machine, as the system knows them, and whom sudo says they were before.

    By number where they have no name, as in a container, or one by which the audit trail calls something else.
    """
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""
    if name.casefold() in {"", *OURS}:
        name = f"uid {uid}"
    with suppress(KeyError):  # the environment's word: an account's name is taken over, and nothing else
        return f"{name} (sudo {pwd.getpwnam(os.environ.get('SUDO_USER', '')).pw_name})"
    return name


def clock(moment: datetime) -> str:
    """A time to the millisecond."""
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def site_of(config: Path | None) -> Site:
    """The site, checked whole. Raises ConfigError."""
    site = load_site(config)
    if site.guard.lexicon:
        load_lexicon(*site.guard.lexicon)
    return site


def existing_store(site: Site, *, with_keys: bool = True) -> Stores:
    """The journal that is there; a command that only reads makes none. Raises NotThere, ConfigError.

    Without its keys what is sealed can't be opened, and what is written stays plain.
    """
    database = "" if site.store.is_shared else make_url(site.store.url).database
    if database and not Path(database).exists():
        raise NotThere([f"store.url: there is no journal at {database} yet; `radbridge up` makes it"])
    return open_store(site.store, site.encryption if with_keys else None)


@contextmanager
def writing(site: Site) -> Iterator[Connection]:
    """A connection to change the journal with, in one transaction. Raises JournalError."""
    stores = existing_store(site)
    try:
        with stores.begin() as conn:
            yield conn
    except SQLAlchemyError as error:
        raise explain(error) from None
    finally:
        stores.dispose()


@contextmanager
def reading(site: Site, *notes: Note, seen: Seen | None = None) -> Iterator[Connection]:
    """A connection to read one moment of the journal with. The notes of who looks are committed before they see.

    `seen` finds out what will be shown of that moment: a note for each case.
    """
    stores = existing_store(site)
    try:
        with stores.connect() as conn:
            told = [*notes, *(seen(conn) if seen else ())]
            if told:
                with stores.begin() as writer:
                    audit.note(writer, told)
            yield conn
    except SQLAlchemyError as error:
        raise explain(error) from None
    finally:
        stores.dispose()


def refuse_running(stores: Stores, conn: Connection) -> None:
    """Raise ConfigError while a gateway runs on a shared journal; of a file, `claim` does so."""
    since = datetime.now(UTC) - SILENT
    running = conn.execute(select(gateways.c.name).where(gateways.c.seen_at > since)).scalars().all()
    if stores.is_shared and running:
        raise ConfigError([f"store: stop the gateways first: {', '.join(running)}"])


def noted(what: What, command: str, *, accession: str = "", patient: str = "", **detail: str) -> Note:
    """The note of a command, under the account that runs it."""
    return Note(
        at=datetime.now(UTC),
        what=what,
        actor=account(),
        via="cli",
        entity=CaseKey(accession=accession) if accession else None,
        patient=patient,
        detail={"command": command, **detail},
    )


def of_cases(note: Note, found: Iterable[Case]) -> list[Note]:
    """The note for each of these cases, with its patient; once where there is none."""
    return each(note, (Subject(entity=case.key, patient=case.patient.id) for case in found))
