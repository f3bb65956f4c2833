"""The type of the journal's times, under its former name: migrations and wires import it from here."""

from radbridge.journal.types import Utc

__all__ = ["Utc"]
