"""A PACS by pynetdicom that answers as a test wants it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined] # made at run time

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"


@dataclass(kw_only=True)
class Pacs:
    """What it got."""

    port: int = 0
    stored: list[Dataset] = field(default_factory=list, repr=False)

    @property
    def uids(self) -> list[str]:
        """SOP Instance UID of each object, in the order of arrival."""
        return [str(one.SOPInstanceUID) for one in self.stored]


@contextmanager
def pacs(
    answer: Callable[[Dataset, Pacs], int] = lambda dataset, pacs: 0,
    *,
    port: int = 0,
    title: str = "STORESCP",
    sop_classes: Sequence[str] = (Verification, BASIC_TEXT_SR, KEY_OBJECT_SELECTION),
) -> Iterator[Pacs]:
    """It listens on loopback until the block ends, and takes only what calls it `title`.

    `answer` gives the status of each C-STORE, before the object is added to `stored`.
    """
    made = Pacs()

    def keep(event: Any) -> int:
        dataset = event.dataset
        status = answer(dataset, made)
        made.stored.append(dataset)
        return status

    ae = AE(title)
    ae.require_called_aet = True
    for sop_class in sop_classes:
        ae.add_supported_context(sop_class)
    server: Any = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    made.port = server.socket.getsockname()[1]
    try:
        yield made
    finally:
        server.shutdown()
