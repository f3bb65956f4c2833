"""Files of HL7 v2 messages, with or without MLLP framing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from radbridge.wire import Filed, FileForm
from radbridge_adapters.hl7v2.batch import ENVELOPE
from radbridge_adapters.hl7v2.framing import Frame
from radbridge_adapters.hl7v2.reception import Reception

SUFFIXES = (".hl7", ".txt")
_PEER = "a file"
_SEGMENT = re.compile(rb"[^\r\n\x0b\x1c]+")
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Piece(NamedTuple):
    """One message of a file, and the line where it begins, from 1 on."""

    line: int
    raw: bytes


def read_files(reception: Reception) -> FileForm:
    """The wire's form of files: each message is judged as one that came over the wire."""

    def read(content: bytes) -> list[Filed]:
        return [
            Filed(line=piece.line, message=reception.judge(Frame(payload=piece.raw), _PEER)[1])
            for piece in split_messages(content)
        ]

    return FileForm(suffixes=SUFFIXES, read=read)


def split_messages(content: bytes) -> list[Piece]:
    """The messages of a file, a new one at each MSH: without framing and batches, lines ended as segments are.

    What stands before the first MSH is a message too, as it is: it is the reader's to say what is wrong with it.
    """
    messages: list[tuple[int, list[bytes]]] = []
    for line, segment in _number_segments(content):
        if segment[:3] in ENVELOPE:
            continue
        if segment.startswith(b"MSH") or not messages:
            messages.append((line, []))
        messages[-1][1].append(segment)
    return [Piece(line, b"\r".join([*segments, b""])) for line, segments in messages]


def _number_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    line, passed = 1, 0
    for match in _SEGMENT.finditer(content):
        if match[0].strip():
            line += len(_LINE_END.findall(content, passed, match.start()))
            passed = match.start()
            yield line, match[0]
