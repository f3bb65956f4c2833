"""`insert` that knows ON CONFLICT, on either database.

PostgreSQL's construct is compiled by SQLite's dialect too; the other way round it isn't. So this one is used
everywhere.
"""

from sqlalchemy.dialects.postgresql import insert

__all__ = ["insert"]
