"""The durable journal: what came in, what is known, what was drafted, what has to go out.

One thread writes; everything that waits for it shares one transaction and one fsync (`journal.Journal`). The other
modules hold the statements by table, as functions of a connection.
"""

from radbridge.journal.journal import Journal

__all__ = ["Journal"]
