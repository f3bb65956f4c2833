"""The content tree of a Structured Report (PS3.3 C.17.3) as values, within bounds.

A tree can be as deep and as large as its sender likes, and items may refer to others: neither is followed further than
the limits here. What stands in a broken item is skipped, and the rest is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from radbridge.case import Code
from radbridge_adapters.dicom.encoding.values import Elements

MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_TEXT_CHARS = 4000

_NO_CODE = Code()


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A content item."""

    type: str
    """`CONTAINER`, `NUM`, `CODE`, `TEXT`, …"""
    relation: str = ""
    """`CONTAINS`, `HAS CONCEPT MOD`, …, to the item above."""
    concept: Code = _NO_CODE
    text: str = field(default="", repr=False)
    """Of TEXT, PNAME, UIDREF, DATE, …"""
    code: Code = field(default=_NO_CODE, repr=False)
    """Of CODE."""
    number: str = field(default="", repr=False)
    """Of NUM, as it was sent; empty where there is none, only a reason why."""
    unit: Code = _NO_CODE
    children: list[Node] = field(default_factory=list, repr=False)
    parent: Node | None = field(default=None, repr=False, compare=False)

    def walk(self) -> Iterator[Node]:
        """This item and all below it, in the order of the document."""
        todo = [self]
        while todo:
            node = todo.pop()
            yield node
            todo.extend(reversed(node.children))

    def line_up(self) -> Iterator[Node]:
        """This item, the one above it, and so on up to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """What could be read of a document's content."""

    root: Node
    skipped: int = 0
    """Items that couldn't be read, or lay beyond the limits; of a branch that was cut only its first counts."""


def read_tree(document: Elements) -> Tree:
    """The tree of a document, whose root is the data set itself. Never fails."""
    root = _read_node(document, None)
    skipped = 0
    seen = 1
    todo = [(document, root, 1)]
    while todo:
        item, above, depth = todo.pop()
        for content in item.each("ContentSequence"):
            if depth >= MAX_DEPTH or seen >= MAX_NODES:
                skipped += 1
                break
            seen += 1
            node = _read_node(content, above)
            if not node.type:
                skipped += not content.has("ReferencedContentItemIdentifier")  # by reference: it stands elsewhere
                continue
            above.children.append(node)
            todo.append((content, node, depth + 1))
    return Tree(root=root, skipped=skipped)


def _read_node(item: Elements, parent: Node | None) -> Node:
    kind = item.text("ValueType").upper()
    measured = item.first("MeasuredValueSequence") if kind == "NUM" else Elements(())
    return Node(
        type=kind,
        relation=item.text("RelationshipType").upper(),
        concept=item.code("ConceptNameCodeSequence"),
        text=item.text(*_TEXTS.get(kind, ()))[:MAX_TEXT_CHARS],
        code=item.code("ConceptCodeSequence") if kind == "CODE" else _NO_CODE,
        number=measured.text("NumericValue"),
        unit=measured.code("MeasurementUnitsCodeSequence"),
        parent=parent,
    )


_TEXTS = {
    "TEXT": ("TextValue",),
    "PNAME": ("PersonName",),
    "UIDREF": ("UID",),
    "DATE": ("Date",),
    "TIME": ("Time",),
    "DATETIME": ("DateTime",),
}
"""Value type -> where its value is."""
