"""Which statements of the sources a statement of the draft most likely comes from: those that share its words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable

from radbridge.entities import Statement
from radbridge.guard.style import load_style
from radbridge.text import FUNCTION_WORDS


class Likeness:
    """Statements, found by their stems."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._statements = list(statements)
        self._by_stem: dict[str, list[int]] = {}
        for at, statement in enumerate(self._statements):
            for root in {*statement.phrasing.stems, *statement.label_stems}:
                self._by_stem.setdefault(root, []).append(at)

    def find(
        self, context: frozenset[str], having: Callable[[Statement], object], *, all_of_it: bool = False
    ) -> list[Statement]:
        """Those of the statements `having` something that share most with `context`: half of it at least, or all."""
        shared = Counter(at for root in context for at in self._by_stem.get(root, ()))
        known = {at: count for at, count in shared.items() if having(self._statements[at])}
        most = max(known.values(), default=0)
        if not most or (most < len(context) if all_of_it else 2 * most < len(context)):
            return []
        return [self._statements[at] for at, count in known.items() if count == most]


def read_context(statement: Statement, without: Container[int]) -> frozenset[str]:
    """The stems of a statement that carry content, without those of the words `without`."""
    glue = load_style().glue
    words = enumerate(zip(statement.phrasing.words, statement.phrasing.stems, strict=True))
    return frozenset(s for i, (w, s) in words if i not in without and w not in FUNCTION_WORDS and s not in glue)
