"""The trail, backups, the purge and encryption, on each database."""

from tests.support.journals import empty_url, encryption, journal, patience, stores, unmade, url

__all__ = ["empty_url", "encryption", "journal", "patience", "stores", "unmade", "url"]
