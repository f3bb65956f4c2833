"""The XHTML of a narrative: what R4 allows for formatting (narrative.html, txt-1, txt-2), nothing that runs."""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"

_ELEMENTS = frozenset(
    """
    a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em
    h1 h2 h3 h4 h5 h6 hr i img kbd li map ol p pre q samp small span strong sub sup
    table tbody td tfoot th thead tr tt ul var
    """.split()
)
_ATTRIBUTES = frozenset(
    """
    abbr accesskey align alt axis border cellpadding cellspacing char charoff charset cite class colspan coords dir
    frame headers height href hreflang id lang longdesc name nohref rel rev rowspan rules scope shape span src style
    summary tabindex title type usemap valign value width xmlns xml:lang
    """.split()
)
_BLOCKS = frozenset("blockquote br dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre table td tr ul".split())
_SPACE = re.compile(r"\s+")
_LINKS = frozenset({"href", "src", "longdesc", "cite", "usemap"})
_SAFE_LINK = re.compile(r"(https?:|mailto:|tel:|ftp:|data:image/(png|jpeg|gif);|#|[^:]*$)", re.IGNORECASE)


class _NotAllowed(Exception):
    """An element, an attribute or a declaration that a narrative may not have."""


def is_narrative(value: Any) -> bool:
    """Whether `value` is one XHTML `div` of allowed elements, with text or an image in it."""
    if not isinstance(value, str):
        return False
    try:
        return _Reader().read(value)
    except (expat.ExpatError, _NotAllowed, UnicodeEncodeError):
        return False


def text_of(div: str) -> str:
    """What a narrative says, a line for each block of it; empty when it can't be read."""
    parts: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, _: parts.append("\n" if name in _BLOCKS else "")
    parser.EndElementHandler = lambda name: parts.append("\n" if name in _BLOCKS else "")
    parser.CharacterDataHandler = lambda text: parts.append(_SPACE.sub(" ", text))
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(div.encode(), True)
    except (expat.ExpatError, _NotAllowed, UnicodeEncodeError):
        return ""
    lines = (line.strip() for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)


class _Reader:
    def __init__(self) -> None:
        self._depth = 0
        self._has_content = False

    def read(self, text: str) -> bool:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = parser.ProcessingInstructionHandler = _refuse
        parser.Parse(text.encode(), True)
        return self._has_content

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and (name != "div" or attributes.get("xmlns") != XHTML):
            raise _NotAllowed
        if name not in _ELEMENTS or not _ATTRIBUTES.issuperset(attributes):
            raise _NotAllowed
        if any(_SAFE_LINK.match(attributes[link].strip()) is None for link in _LINKS & attributes.keys()):
            raise _NotAllowed
        self._depth += 1
        self._has_content = self._has_content or name == "img"

    def _end(self, _: str) -> None:
        self._depth -= 1

    def _characters(self, text: str) -> None:
        self._has_content = self._has_content or not text.isspace()


def _refuse(*_: Any) -> None:
    raise _NotAllowed
