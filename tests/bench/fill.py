"""A journal in which many cases stand already: `python -m tests.bench.fill STORE_URL --cases 1000000`.

Every case has the message that it was made from, as it is after years: settled, and never looked at again. The rows are
one message and one case with numbers of their own, written past the journal's own code, which would take hours.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from time import perf_counter
from typing import Any, cast

from pydantic import TypeAdapter
from sqlalchemy import Dialect, Engine, Table

from radbridge.case import Case, CaseKey, Code, Order, Patient, Radiologist, ReportText, Study
from radbridge.journal.buckets import bucket_of
from radbridge.journal.schema import cases, messages
from radbridge.journal.stores import open_store
from tests.bench.ack_client import make_template
from tests.support.ris import FINDINGS

Row = dict[str, Any]
_CHUNK = 10_000
_FIRST = 900_000_000
"""Above the numbers of the messages that a bench sends."""
_BEGAN = datetime(2024, 1, 1, tzinfo=UTC)


def message_rows(count: int) -> Iterator[Row]:
    """So many messages that are settled."""
    template = make_template()[1:-2]
    ack = b"MSH|^~\\&|RADBRIDGE||RIS|HOSP|20260301093000||ACK^R01^ACK|A%09d|P|2.5.1\rMSA|AA|B%09dD1\r"
    for n in range(count):
        number, at = _FIRST + n, _BEGAN + timedelta(seconds=60 * n)
        raw = template % {b"n": number}
        yield {
            "received_at": at,
            "wire": "hl7v2",
            "peer": "192.0.2.1:40000",
            "sender_key": f"RIS\x1eHOSP\x1fB{number}D1",
            "digest": hashlib.sha256(raw).hexdigest(),
            "kind": "ORU^R01",
            "accession": f"B{number}",
            "raw": raw,
            "size": len(raw),
            "ack": ack % (number, number),
            "state": "done",
            "reason": "",
            "reused_id": False,
            "bucket": bucket_of(f"B{number}"),
            "settled_at": at,
        }


def case_rows(count: int) -> Iterator[Row]:
    """Their cases, of half as many patients."""
    case = Case(
        key=CaseKey(accession="B999999999"),
        patient=Patient(id="P99999999", issuer="HOSP", name="DOE^JANE^Q", address="1 MAIN ST^^SPRINGFIELD"),
        order=Order(procedure=Code(value="71260", display="CT CHEST W CONTRAST", system="C4"), placer="B999999999"),
        study=Study(modality="CT"),
        report=ReportText(findings=FINDINGS),
        signer=Radiologist(id="1001", name="HOUSE^GREGORY"),
    )
    document = TypeAdapter(Case).dump_json(case, exclude_defaults=True).replace(b"%", b"%%")
    document = document.replace(b"999999999", b"%(n)09d").replace(b"P99999999", b"P%(p)08d")
    for n in range(count):
        yield {
            "accession": f"B{_FIRST + n}",
            "issuer": "",
            "patient_id": f"P{n // 2:08d}",
            "patient_issuer": "HOSP",
            "state": "open",
            "document": document % {b"n": _FIRST + n, b"p": n // 2},
            "updated_at": _BEGAN + timedelta(seconds=60 * n),
        }


def fill(url: str, count: int) -> None:
    """Write them into an empty journal, whose tables are made."""
    stores = open_store(url)
    add = _add_by_copy if stores.is_shared else _add_by_insert
    for table, rows in ((messages, message_rows(count)), (cases, case_rows(count))):
        add(stores.writer, table, rows)
    with stores.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql("ANALYZE")
    stores.dispose()


def _writers(table: Table, names: list[str], dialect: Dialect) -> list[Callable[[Any], Any]]:
    """How each column's values are written by this database's driver."""
    kept = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
    return [writer or (lambda value: value) for writer in kept]


def _add_by_insert(engine: Engine, table: Table, rows: Iterator[Row]) -> None:
    with engine.connect() as conn:
        driver = cast(Any, conn.connection.driver_connection)
        driver.execute("PRAGMA synchronous=OFF")
        while chunk := list(islice(rows, _CHUNK)):
            names = list(chunk[0])
            writers = _writers(table, names, engine.dialect)
            marks = ", ".join("?" * len(names))
            driver.execute("BEGIN")
            driver.executemany(
                f'INSERT INTO "{table.name}" ({", ".join(names)}) VALUES ({marks})',  # noqa: S608 - our own names
                [tuple(write(value) for write, value in zip(writers, row.values(), strict=True)) for row in chunk],
            )
            driver.execute("COMMIT")
        driver.execute("PRAGMA synchronous=FULL")


def _add_by_copy(engine: Engine, table: Table, rows: Iterator[Row]) -> None:
    with engine.begin() as conn:
        driver = cast(Any, conn.connection.driver_connection)
        if (first := next(rows, None)) is None:
            return
        writers = _writers(table, list(first), engine.dialect)
        with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({", ".join(first)}) FROM STDIN') as copy:
            for row in chain((first,), rows):
                copy.write_row([write(value) for write, value in zip(writers, row.values(), strict=True)])


def main() -> None:
    """Fill, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the store's")
    parser.add_argument("--cases", type=int, default=1_000_000)
    args = parser.parse_args()
    began = perf_counter()
    fill(args.url, args.cases)
    print(f"{args.cases} cases in {perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
