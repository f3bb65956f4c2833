"""What every table is declared in."""

from __future__ import annotations

from sqlalchemy import Index, MetaData, text

metadata = MetaData()


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of the rows that fulfil a condition: small, however many rows there are that don't."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))
