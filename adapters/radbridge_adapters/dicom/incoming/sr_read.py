"""What machines measured and found, out of a Structured Report's tree (TID 1500, CAD, dose and text reports).

Read by meaning, not by position: vendors nest the same items differently. What an item is about (finding, site, side,
tracking, algorithm) is looked for below it, beside it, and above it, the nearest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from radbridge.errors import MessageFault
from radbridge.imaging import MAX_MEASURED, Measured
from radbridge_adapters.dicom.encoding.values import Elements
from radbridge_adapters.dicom.incoming.sr_about import About, Scopes
from radbridge_adapters.dicom.incoming.sr_amounts import read_amount
from radbridge_adapters.dicom.incoming.sr_codes import say, simplify, word_of
from radbridge_adapters.dicom.incoming.sr_source import Source, read_source
from radbridge_adapters.dicom.incoming.sr_tree import Node, read_tree

DOSE = "dose"
"""Who is named for radiation dose."""
_OWN = "RADBRIDGE"

_STATED = frozenset(("CONTAINS", "HAS PROPERTIES", ""))
"""Relations of items that say something of their own; the others qualify, or tell where something comes from."""
_PRESENCE = frozenset(
    ("presence", "present", "finding present", "finding", "detected", "detection", "result", "status")
)
"""Evaluations that only say whether the finding is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a Structured Report holds for a case."""

    sop_uid: str
    measured: tuple[Measured, ...] = field(default=(), repr=False)
    replaces: tuple[str, ...] = ()
    """SOP Instance UIDs of the documents it is a later version of."""
    skipped: int = 0
    """Content items that couldn't be read."""


def is_our_own(document: Elements) -> bool:
    """Whether we wrote it: a PACS sends our drafts back to us, as it does any other object."""
    return document.text("Manufacturer").upper() == _OWN


def read_report(document: Elements) -> Report:
    """What a Structured Report says. Raises MessageFault when there is no content that can be read."""
    tree = read_tree(document)
    if not tree.root.children:
        raise MessageFault("no_content", "the Structured Report has no content that can be read", where="(0040,A730)")
    sop_uid = document.text("SOPInstanceUID")
    reader = _Reader(Scopes(), read_source(document, tree.root), sop_uid)
    lines = list(dict.fromkeys(reader.read(tree.root)))
    kept = set(sorted(lines, key=_rank)[:MAX_MEASURED])
    return Report(
        sop_uid=sop_uid,
        measured=tuple(line for line in lines if line in kept),
        replaces=tuple(dict.fromkeys(_predecessors(document))),
        skipped=tree.skipped,
    )


def _predecessors(document: Elements) -> Iterator[str]:
    for study in document.items("PredecessorDocumentsSequence"):
        for series in study.items("ReferencedSeriesSequence"):
            for instance in series.items("ReferencedSOPSequence"):
                if uid := instance.text("ReferencedSOPInstanceUID"):
                    yield uid


def _rank(line: Measured) -> int:
    """What goes last where there is too much: a radiomics report has a hundred textures for each lesion."""
    return 0 if line.is_comparable else 1 if line.finding else 2


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one document."""

    scopes: Scopes
    source: Source
    sop_uid: str

    def read(self, root: Node) -> Iterator[Measured]:
        if self.source.is_log:
            return
        if self.source.is_dose:
            yield from self._read_dose(root)
            return
        nodes = [node for node in root.walk() if not self.scopes.is_about_images(node)]
        lines = [line for node in nodes if (line := self._read_item(node))]
        yield from lines or self._read_text(nodes)

    def _read_item(self, node: Node) -> Measured | None:
        if node.relation not in _STATED or word_of(node.concept, "aside"):
            return None
        if node.type == "NUM":
            return None if node.parent and node.parent.type == "NUM" else self._read_number(node)
        if node.type not in ("CODE", "TEXT"):
            return None
        role = word_of(node.concept, "role")
        if role == "finding" and not self.scopes.is_in_text(node):
            return None if self.scopes.is_qualified(node) else self._line(node, finding=self.scopes.name_finding(node))
        is_evaluation = not role and (node.type == "CODE" or self.scopes.is_in_group(node))
        return self._read_evaluation(node) if is_evaluation and not self.scopes.is_in_text(node) else None

    def _read_number(self, node: Node) -> Measured | None:
        amount = read_amount(node)
        if amount is None:
            return None
        return replace(self._line(node), kind=say(node.concept, "kind"), value=amount.value, unit=amount.unit)

    def _read_evaluation(self, node: Node) -> Measured | None:
        """A code or text about the finding; whether something is there at all is said as a finding of its own."""
        line = self._line(node)
        kind = say(node.concept, "finding")
        answer = word_of(node.code, "answer")
        value = answer or simplify(node.code.display) or simplify(node.text)
        if not value or not (kind or line.finding):
            return None
        if answer and (not line.finding or kind in _PRESENCE):
            thing = line.finding or kind
            return replace(line, finding=thing) if answer == "present" else _deny(line, thing)
        return replace(line, kind=kind, value=value)

    def _line(self, node: Node, *, finding: str = "") -> Measured:
        about: About = self.scopes.about(node)
        return Measured(
            source=self.source.name(about.algorithm),
            finding=finding or about.finding,
            site=about.site,
            laterality=about.laterality,
            tracking=about.tracking,
            sop_uid=self.sop_uid,
        )

    def _read_dose(self, root: Node) -> Iterator[Measured]:
        """The totals; of the CTDIvol of each series, the largest."""
        largest: Measured | None = None
        for node in root.walk():
            kind = word_of(node.concept, "dose")
            amount = read_amount(node) if kind else None
            if amount is None:
                continue
            line = Measured(source=DOSE, kind=kind, value=amount.value, unit=amount.unit, sop_uid=self.sop_uid)
            if kind != "CTDIvol":
                yield replace(line, site=self.scopes.about(node).site)
            elif largest is None or float(line.value) > float(largest.value):
                largest = line
        if largest is not None:
            yield largest

    def _read_text(self, nodes: Sequence[Node]) -> Iterator[Measured]:
        """Findings in sentences, unless they are a person's: those are a report's to tell."""
        if self.source.is_person:
            return
        for node in nodes:
            is_told = word_of(node.concept, "part") == "passage" or self.scopes.is_in_text(node)
            if node.type == "TEXT" and is_told and not word_of(node.concept, "aside"):
                for sentence in filter(None, (" ".join(part.split()) for part in node.text.split("\n"))):
                    yield replace(self._line(node), finding=sentence, site="", laterality="")


def _deny(line: Measured, thing: str) -> Measured:
    """Nothing that a place could be compared by: it isn't there."""
    return replace(line, finding=", ".join(part for part in (f"no {thing}", line.site) if part), site="", laterality="")
