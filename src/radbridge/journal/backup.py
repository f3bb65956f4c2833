"""A backup: one moment of the journal in one file, which either database can be filled from.

    backup.tar.gz
    ├── manifest.json      revision, rows and SHA-256 of each table, counters, the audit trail's end, keys it needs
    └── <table>.jsonl      the columns' names, then a row a line; bytes as base64, sealed ones as they are stored

It is read from one snapshot beside a running gateway. What only holds for running gateways (leases, logins) isn't in
it. It goes into an empty journal only, in one transaction: all of it, or nothing.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from alembic.migration import MigrationContext
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Column, Connection, LargeBinary, Table, bindparam, func, insert, select, text, type_coerce

from radbridge.errors import BackupFault
from radbridge.journal import audit, keys
from radbridge.journal.keys import DataKey
from radbridge.journal.schema import gateways, leases, login_sessions, metadata
from radbridge.journal.types import Sealed, Utc

LEFT_OUT: Final = (leases, gateways, login_sessions)
MANIFEST: Final = "manifest.json"
_ROWS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    revision: str
    at: datetime
    database: str
    """`sqlite`, `postgresql`: where it was read."""
    rows: Mapping[str, int] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    """The last number given, also where its row is gone: a number is never used twice."""
    head: str
    """Of the audit trail."""
    keys: Sequence[str] = ()
    """References of the keys without which its sealed documents can't be opened."""


_MANIFEST = TypeAdapter(Manifest)


def tables() -> list[Table]:
    """The tables that a backup holds."""
    return [table for table in metadata.sorted_tables if table not in LEFT_OUT]


def write(conn: Connection, file: Path) -> Manifest:
    """Back up the moment that `conn` sees. Raises BackupFault; an unfinished file is taken away."""
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".radbridge-backup-") as folder:
            made = Path(folder) / "backup"
            manifest = _write(conn, made, Path(folder))
            with made.open("rb") as whole:
                os.fsync(whole.fileno())
            made.replace(file)
    except OSError as error:
        raise BackupFault(f"the backup can't be written to {file.parent}: {error.strerror}") from None
    return manifest


def _write(conn: Connection, made: Path, folder: Path) -> Manifest:
    rows, sums = {}, {}
    with tarfile.open(made, "w:gz", compresslevel=6) as tar:
        made.chmod(0o600)
        for table in tables():
            part = folder / table.name
            rows[table.name], sums[table.name] = _dump(conn, table, part)
            tar.add(part, f"{table.name}.jsonl", filter=_plainly)
            part.unlink()
        manifest = Manifest(
            revision=revision(conn),
            at=datetime.now(UTC),
            database=conn.dialect.name,
            rows=rows,
            sha256=sums,
            counters=_read_counters(conn),
            head=str(audit.head(conn)),
            keys=sorted({key.kek for key in keys.usable(keys.load(conn))}),
        )
        said = json.dumps(asdict(manifest) | {"at": manifest.at.isoformat()}, indent=2).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(said), 0o600
        tar.addfile(info, io.BytesIO(said))
    return manifest


def _plainly(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whose account made it isn't part of it."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


def _dump(conn: Connection, table: Table, part: Path) -> tuple[int, str]:
    count, digest = 0, hashlib.sha256()
    with part.open("wb") as out:
        for line in _lines(conn, table):
            out.write(line)
            digest.update(line)
            count += 1
    return count - 1, digest.hexdigest()


def _lines(conn: Connection, table: Table) -> Iterator[bytes]:
    yield _line([column.name for column in table.columns])
    query = select(*(stored(column) for column in table.columns)).order_by(*table.primary_key.columns)
    for row in conn.execute(query, execution_options={"yield_per": _ROWS}):
        yield _line([_tell(value) for value in row])


def _line(values: Sequence[Any]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def _tell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    return value


def stored(column: Column[Any]) -> Any:
    """The column as its bytes are stored: sealed ones stay so."""
    return type_coerce(column, LargeBinary) if isinstance(column.type, Sealed) else column


def revision(conn: Connection) -> str:
    """The shape that the tables have."""
    return MigrationContext.configure(conn).get_current_revision() or ""


def read_keys(file: Path) -> list[DataKey]:
    """The keys that it holds, wrapped. Raises BackupFault."""
    table = metadata.tables["data_key"]
    with _opened(file) as tar:
        _manifest(tar, file)
        rows = [row for chunk in _chunks(tar, table, hashlib.sha256()) for row in chunk]
    names = {column.name for column in table.columns}
    return [DataKey(**{name: row[name] for name in names}) for row in rows]


def restore(conn: Connection, file: Path) -> Manifest:
    """Fill an empty journal. Raises BackupFault, and then the transaction has to be given up."""
    _check_empty(conn)
    with _opened(file) as tar:
        manifest = _manifest(tar, file)
        if manifest.revision != revision(conn):
            told = f"its shape is {manifest.revision}, this RadBridge's is {revision(conn)}"
            raise BackupFault(f"{file} was made by another version ({told}): restore it with that one, then upgrade")
        for table in tables():
            digest, count = hashlib.sha256(), 0
            for chunk in _chunks(tar, table, digest):
                conn.execute(insert(table).values({c.name: _bound(c) for c in table.columns}), _named(chunk))
                count += len(chunk)
            if count != manifest.rows.get(table.name) or digest.hexdigest() != manifest.sha256.get(table.name):
                raise BackupFault(f"{file} is damaged: {table.name} isn't what the manifest says")
    _set_counters(conn, manifest.counters)
    return manifest


def _bound(column: Column[Any]) -> Any:
    """A parameter under a name that no column has."""
    type_ = LargeBinary() if isinstance(column.type, Sealed) else column.type
    return bindparam(f"of_{column.name}", type_=type_)


def _named(chunk: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{f"of_{name}": value for name, value in row.items()} for row in chunk]


def _check_empty(conn: Connection) -> None:
    full = [t.name for t in tables() if conn.execute(select(func.count()).select_from(t)).scalar_one()]
    if full:
        raise BackupFault(f"the journal isn't empty ({', '.join(full)}): restore into a new one, by [store] url")


def _opened(file: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(file, "r:gz")
    except OSError as error:
        raise BackupFault(f"{file} can't be read: {error.strerror or 'it is no backup'}") from None
    except (tarfile.TarError, EOFError, zlib.error):
        raise BackupFault(f"{file} is no backup of RadBridge") from None


def _manifest(tar: tarfile.TarFile, file: Path) -> Manifest:
    with _member(tar, MANIFEST) as part:
        try:
            return _MANIFEST.validate_json(part.read())
        except ValidationError:
            raise BackupFault(f"{file} is no backup of RadBridge") from None


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """One file of the backup: read, never unpacked to a place that it names itself."""
    try:
        part = tar.extractfile(name)
    except (KeyError, tarfile.TarError, EOFError, OSError, zlib.error):
        part = None
    if part is None:
        raise BackupFault(f"the file is damaged, or no backup of RadBridge: {name} can't be read")
    return part


def _chunks(tar: tarfile.TarFile, table: Table, digest: Any) -> Iterator[list[dict[str, Any]]]:
    """The rows of a table, some hundred at a time; `digest` gets all that is read."""
    with _member(tar, f"{table.name}.jsonl") as part:
        try:
            first = next(part, b"")
            digest.update(first)
            columns = [table.columns[name] for name in json.loads(first)]
            chunk: list[dict[str, Any]] = []
            for line in part:
                digest.update(line)
                said = json.loads(line)
                chunk.append({c.name: _read(c, v) for c, v in zip(columns, said, strict=True)})
                if len(chunk) == _ROWS:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk
        except (ValueError, KeyError, EOFError, gzip.BadGzipFile, tarfile.TarError, zlib.error):
            raise BackupFault(f"the backup is damaged: {table.name} can't be read") from None


def _read(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, Sealed | LargeBinary):
        return base64.b64decode(value, validate=True)
    return datetime.fromisoformat(value) if isinstance(column.type, Utc) else value


def _counted() -> Iterator[tuple[Table, Column[Any]]]:
    """The tables whose rows are numbered by the database."""
    for table in tables():
        column = table.autoincrement_column
        if column is not None:
            yield table, column


def _read_counters(conn: Connection) -> dict[str, int]:
    if conn.dialect.name == "sqlite":
        known = {table.name for table in tables()}
        rows = conn.execute(text("SELECT name, seq FROM sqlite_sequence"))
        return {row.name: row.seq for row in rows if row.name in known}
    found = {}
    for table, column in _counted():
        name = _sequence(conn, table, column)
        row = conn.exec_driver_sql(f"SELECT last_value, is_called FROM {name}").one()  # noqa: S608 - our own name
        found[table.name] = row.last_value if row.is_called else 0
    return found


def _set_counters(conn: Connection, counters: Mapping[str, int]) -> None:
    """Go on counting where the backup stopped."""
    for table, column in _counted():
        highest = conn.execute(select(func.coalesce(func.max(column), 0))).scalar_one()
        last = max(highest, counters.get(table.name, 0))
        if conn.dialect.name == "postgresql":
            set_to = func.setval(_sequence(conn, table, column), max(last, 1), last > 0)
            conn.execute(select(set_to))
        elif table.dialect_options["sqlite"]["autoincrement"]:
            conn.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
            conn.execute(
                text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), {"name": table.name, "seq": last}
            )


def _sequence(conn: Connection, table: Table, column: Column[Any]) -> str:
    quoted = conn.dialect.identifier_preparer.format_table(table)
    name: str = conn.execute(select(func.pg_get_serial_sequence(quoted, column.name))).scalar_one()
    return name
