"""How much memory a phase took at most, whichever process took it."""

from __future__ import annotations

import resource
import threading
from types import TracebackType
from typing import Self

import torch

_EVERY_S = 0.05


class Peak:
    """`with Peak() as peak: …; peak.gib`: of the whole GPU; without one, of this process since its start."""

    def __init__(self) -> None:
        self.gib = 0.0
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._watch.join()

    def _look(self) -> None:
        while True:
            self.gib = max(self.gib, _used_gib())
            if self._done.wait(_EVERY_S):
                return


def _used_gib() -> float:
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return float(total - free) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
