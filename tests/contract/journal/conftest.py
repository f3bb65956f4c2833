"""Every promise of the journal, on each database."""

from tests.support.journals import conn, empty_url, encryption, journal, patience, stores, unmade, url

__all__ = ["conn", "empty_url", "encryption", "journal", "patience", "stores", "unmade", "url"]
