"""The trail, backups, the purge and encryption, on each database."""

from tests.support.journals import encryption, journal, stores, url

__all__ = ["encryption", "journal", "stores", "url"]
