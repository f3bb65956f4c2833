"""What a content item is about: the finding, site, side, lesion and algorithm that stand around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from radbridge.imaging import join_sides
from radbridge_adapters.dicom.incoming.sr_codes import say, simplify, word_of
from radbridge_adapters.dicom.incoming.sr_tree import Node

SIDE_WORDS = {"L": "left", "R": "right", "B": "bilateral"}
_SIDES = {"left": "L", "right": "R", "bilateral": "B", "both": "B"}
_MAX_TRACKING = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What is known of an item from those around it."""

    finding: str = field(default="", repr=False)
    site: str = field(default="", repr=False)
    laterality: str = ""
    tracking: str = ""
    algorithm: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scope:
    """What stands directly below one item."""

    roles: Mapping[str, list[Node]]
    findings: tuple[str, ...]
    """Their names, each once."""
    is_qualifying: bool
    """Whether there are numbers or evaluations, which say more of a finding beside them."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """Answers what an item is about, and remembers what stands directly below each item of one tree."""

    _scopes: dict[int, _Scope] = field(default_factory=dict)

    def about(self, node: Node) -> About:
        """Of the item and those around it, the nearest first."""
        site = self._nearest(node, "site")
        sides = self._sides(node, site)
        tracking = self._nearest(node, "tracking")
        algorithm = self._nearest(node, "algorithm")
        return About(
            finding=self._finding_of(node),
            site=self._name_site(site, sides) if site else SIDE_WORDS.get(sides, ""),
            laterality=sides,
            tracking=tracking.text[:_MAX_TRACKING] if tracking else "",
            algorithm=algorithm.text if algorithm else "",
        )

    def name_finding(self, node: Node) -> str:
        """A finding in words: a code's, or the text's."""
        return _name_finding(node)

    def is_qualified(self, finding: Node) -> bool:
        """Whether other items say more of a finding than that it is there: then they make its lines."""
        beside = finding.parent if finding.parent and self.is_in_group(finding) else finding
        return self._in(beside).is_qualifying or self._in(finding).is_qualifying

    def is_in_group(self, node: Node) -> bool:
        """Whether it lies in a measurement group, or tells properties of a finding."""
        above = node.parent
        while above is not None:
            if word_of(above.concept, "part") == "group" or word_of(above.concept, "role") == "finding":
                return True
            above = above.parent
        return False

    def is_in_text(self, node: Node) -> bool:
        """Whether it lies in a section of a text report, outside any measurement group."""
        parts = [word_of(above.concept, "part") for above in node.line_up() if above is not node]
        return "text" in parts and "group" not in parts

    def is_about_images(self, node: Node) -> bool:
        """Whether it lies in the image library: those numbers are of the images."""
        return any(word_of(above.concept, "part") == "images" for above in node.line_up())

    def _finding_of(self, node: Node) -> str:
        for above in node.line_up():
            if above is not node and word_of(above.concept, "role") == "finding":
                return self.name_finding(above)
            if names := self._in(above).findings:
                return names[0] if len(names) == 1 else ""  # of several, whose the number is isn't said
        return ""

    def _nearest(self, node: Node, role: str) -> Node | None:
        return next((found[0] for above in node.line_up() if (found := self._in(above).roles.get(role))), None)

    def _sides(self, node: Node, site: Node | None) -> str:
        """What the site says of its side, else what it is named, else what is said beside the item."""
        if site is not None:
            told = [_side_of(n) for n in self._in(site).roles.get("laterality", ())]
            named = [_SIDES[word] for word in say(site.code, "site").split() if word in _SIDES]
            if sides := join_sides([*told, *named]):
                return sides
        beside = (self._in(above).roles.get("laterality", ()) for above in node.line_up())
        return next((side for nodes in beside if (side := join_sides([_side_of(n) for n in nodes]))), "")

    def _name_site(self, site: Node, side: str) -> str:
        words = [say(n.code, "site") for n in self._in(site).roles.get("modifier", ())]
        name = " ".join(dict.fromkeys((*words, say(site.code, "site") or simplify(site.text))))
        side_word = SIDE_WORDS.get(side, "")
        return name if not side_word or side_word in name.split() else f"{side_word} {name}"

    def _in(self, node: Node) -> _Scope:
        key = id(node)
        if key not in self._scopes:
            self._scopes[key] = _read_scope(node)
        return self._scopes[key]


def _name_finding(node: Node) -> str:
    return say(node.code, "finding") or simplify(node.text)


def _read_scope(node: Node) -> _Scope:
    roles: dict[str, list[Node]] = {}
    for child in node.children:
        if child.type in ("CODE", "TEXT") and (role := word_of(child.concept, "role")):
            roles.setdefault(role, []).append(child)
    return _Scope(
        roles=roles,
        findings=tuple(dict.fromkeys(_name_finding(found) for found in roles.get("finding", ()))),
        is_qualifying=any(_qualifies(child) for child in node.children),
    )


def _qualifies(node: Node) -> bool:
    return bool(node.type == "NUM" and node.number) or (
        node.type in ("CODE", "TEXT") and node.relation in ("CONTAINS", "HAS PROPERTIES") and _is_free(node)
    )


def _is_free(node: Node) -> bool:
    return not word_of(node.concept, "role") and not word_of(node.concept, "aside")


def _side_of(node: Node) -> str:
    return word_of(node.code, "side") or _SIDES.get(simplify(node.code.display or node.text), "")
