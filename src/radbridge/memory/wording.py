"""What of a de-identified text may stand in an example: what shows how somebody writes, and names or tells nobody.

A model imitates what it sees. A sentence that held a name or a date says nothing about style that others don't, and one
that tells of a call would be copied into a draft as a call that nobody made.
"""

from __future__ import annotations

import re

from radbridge.text import label_sentences, split_sentences

_TELLS = re.compile(
    r"\b(?:discuss|notif|informed|communicated|convey|relay|telephon|phoned)\w*|\b(?:called|reported|paged|spoke\w*|given)\s"
    r"(?:to|by|with)\b|\bcritical (?:result|value|finding)s?\b|\bread[- ]?back\b",
    re.IGNORECASE,
)
_BARE = re.compile(r"\s*(?:\(?\d{1,2}[.)]|[-*•·–])?\s*")
_NUMBER = re.compile(r"(?m)^(\s*\(?)\d{1,2}(?=[.)]\s)")
_CUT = "\0"


def keep_style(text: str, scrubbed: str) -> str:
    """`scrubbed` without the sentences that scrubbing changed `text` in, and without those that tell of a call.

    Lines that are left empty go, and numbered ones are numbered anew.
    """
    unchanged = {" ".join(sentence.split()) for sentence in split_sentences(text)}
    kept, at = "", 0
    for sentence in label_sentences(scrubbed):
        if " ".join(sentence.text.split()) not in unchanged or _TELLS.search(sentence.text):
            kept += scrubbed[at : sentence.start] + _CUT
            at = sentence.end
    if not at:
        return scrubbed
    lines = (kept + scrubbed[at:]).split("\n")
    left = [_close(line) for line in lines if _CUT not in line or not _BARE.fullmatch(line.replace(_CUT, ""))]
    return _renumber("\n".join(left))


def _close(line: str) -> str:
    """The line without its gaps."""
    return re.sub(rf" *{_CUT}", "", line).strip() if _CUT in line else line


def _renumber(text: str) -> str:
    numbers = iter(range(1, len(text) + 2))
    return _NUMBER.sub(lambda match: f"{match[1]}{next(numbers)}", text)
