"""A signer's habits laid over a draft: which statements, in which order, with which marks. No statement is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from radbridge.coarse import Statement
from radbridge.style.profile import StyleProfile
from radbridge.style.signed import JOINT, is_plain
from radbridge.text.scopes import read_statement
from radbridge.text.vocabulary import WEIGHTS

_JOINABLE = re.compile(r"No (?:[^.;:?!]|\.(?=\d))+\.")
_CAPITALS = {small: small - 32 for small in range(ord("a"), ord("z") + 1)}
"""ASCII letters alone: the capital of a micro sign is a Greek one that looks like an M."""


def arrange(statements: Sequence[Statement], profile: StyleProfile) -> list[Statement]:
    """The statements that the signer would say, in the signer's order, always one of them.

    Only what denies something, or calls it normal, is ever left out, and never the answer to a question about something
    critical. Advice that was dictated for this case is said, whatever the signer did with that of others.
    """
    said = sorted(statements, key=is_plain) if profile.denials_last else list(statements)
    plain = sorted(filter(is_plain, said), key=lambda s: -s.score)
    left_out = {id(s) for s in plain[_count_kept(profile, plain, said) :] if not _must_be_said(s)}
    return [s for s in said if id(s) not in left_out]


def lay_out(sentences: Sequence[str], profile: StyleProfile) -> str:
    """One text of the sentences: joined, marked, between opening and closing."""
    items = list(_join(sentences)) if profile.joins_denials else list(sentences)
    marker = profile.marker if len(items) > 1 or profile.marks_single else ""
    marked = [f"{marker.format(n)} {item}" if marker else item for n, item in enumerate(items, 1)]
    between = "\n" if marker else " "
    text = between.join(part for part in (profile.opening, *marked, profile.closing) if part)
    return text.translate(_CAPITALS) if profile.capitals else text


def _count_kept(profile: StyleProfile, plain: Sequence[Statement], said: Sequence[Statement]) -> int:
    """How many of the `plain` ones are said; where nothing else is, at least one."""
    alone = len(plain) == len(said)
    most = profile.most_alone if alone else profile.most_beside
    return len(plain) if most is None else max(most, int(alone))


def _must_be_said(statement: Statement) -> bool:
    """Whether an answer is about something critical; one that names nothing may be."""
    if statement.score < WEIGHTS["critical"]:
        return False
    weights = [m.concept.weight for m in read_statement(statement.text).mentions]
    return max(weights, default=WEIGHTS["critical"]) >= WEIGHTS["critical"]


def _join(sentences: Sequence[str]) -> Iterator[str]:
    """`No A.` and `No B.` as `No A, and no B.`, two at a time."""
    left = list(sentences)
    while left:
        sentence = left.pop(0)
        if left and _JOINABLE.fullmatch(sentence) and _JOINABLE.fullmatch(left[0]):
            sentence = f"{sentence.removesuffix('.')}{JOINT}{left.pop(0).removeprefix('No ')}"
        yield sentence
