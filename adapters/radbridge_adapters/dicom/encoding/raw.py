"""Encoded elements to a data set of raw values (PS3.5 7): nothing is converted, so nothing is refused or warned of.

pydicom's own reader decodes SpecificCharacterSet while it reads, and warns where it doesn't know it. It also reads
nested items again for each level that they are in; here one walk over all bytes finds where everything ends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.encoding.coding import LONG_VRS, UNDEFINED, coding_of

MAX_DEPTH: Final = 64
"""Sequences in one another: each content item of an SR lies in the one above it."""

_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD

Head = tuple[int, str, int, int]
"""Tag, VR, length of the value, and where it starts."""
Ends = Mapping[int, tuple[int, int]]
"""Where a value of undefined length starts -> where it ends, and where what follows its delimiter starts."""


def read_dataset(elements: bytes, syntax: str) -> Dataset:
    """The elements, encoded as in `syntax`, with raw values. Raises MessageFault when they can't be walked."""
    coding = coding_of(syntax)
    form = _Form(coding.implicit, coding.item.format.startswith("<"))
    try:
        dataset = _read(_Walked(elements, _find_ends(elements, form), 0), form)
    except struct.error:
        raise MessageFault("truncated", "the data set ends within an element") from None
    dataset.set_original_encoding(form.is_implicit, form.is_little, "iso8859")
    return dataset


def split_items(element: RawDataElement) -> Iterator[Dataset]:
    """The items of a sequence's raw value; of a broken one, those before it breaks."""
    form = _Form(element.is_implicit_VR, element.is_little_endian)
    value = element.value or b""
    with suppress(MessageFault, struct.error):
        walked = value if isinstance(value, _Walked) else _Walked(value, _find_ends(value, form, in_sequence=True), 0)
        yield from _split(walked, form)


class _Walked(bytes):
    """Encoded elements or items, and where those of undefined length in them end."""

    ends: Ends
    offset: int
    """Where these bytes start, as `ends` counts."""

    def __new__(cls, value: bytes, ends: Ends, offset: int) -> Self:
        self = super().__new__(cls, value)
        self.ends = ends
        self.offset = offset
        return self

    def part(self, start: int, stop: int) -> _Walked:
        """What is from `start` to `stop`."""
        return _Walked(self[start:stop], self.ends, self.offset + start)

    def end_of(self, start: int) -> tuple[int, int]:
        """Where the value of undefined length that starts at `start` ends, and what follows begins."""
        stop, after = self.ends.get(self.offset + start, (len(self), len(self)))
        return min(stop - self.offset, len(self)), min(after - self.offset, len(self))


@dataclass(frozen=True, slots=True)
class _Form:
    """How elements are written."""

    is_implicit: bool
    is_little: bool

    def head(self, data: bytes, at: int) -> Head:
        """Of the element, item or delimiter at `at`. Raises struct.error at the end of the data."""
        order = "<" if self.is_little else ">"
        group, number = struct.unpack_from(order + "HH", data, at)
        tag = group << 16 | number
        if self.is_implicit or group == 0xFFFE:
            return tag, _vr_of(tag), struct.unpack_from(order + "I", data, at + 4)[0], at + 8
        letters = data[at + 4 : at + 6]
        if letters in LONG_VRS:
            return tag, letters.decode("ascii"), struct.unpack_from(order + "I", data, at + 8)[0], at + 12
        if not (letters.isalpha() and letters.isupper()):
            raise MessageFault("not_dicom", "an element has no value representation", where=_name(tag))
        return tag, letters.decode("ascii"), struct.unpack_from(order + "H", data, at + 6)[0], at + 8

    def inside(self, vr: str) -> _Form:
        """How the items of a sequence are written: one of VR UN holds implicit ones (PS3.5 6.2.2, note 2)."""
        return _Form(True, self.is_little) if vr == "UN" and not self.is_implicit else self


@dataclass(slots=True)
class _Holder:
    """A sequence or an item that isn't over."""

    is_sequence: bool
    start: int
    limit: int
    """Where it ends by its length, or by the length of what holds it."""
    is_open: bool
    """Whether a delimiter ends it."""
    form: _Form


def _find_ends(data: bytes, form: _Form, *, in_sequence: bool = False) -> Ends:
    """Where every sequence and item of undefined length ends; one without its delimiter ends with what holds it."""
    ends: dict[int, tuple[int, int]] = {}
    holders = [_Holder(in_sequence, 0, len(data), is_open=False, form=form)]
    at = 0
    while at < len(data):
        holder = holders[-1]
        if at >= holder.limit:
            at = _close(holders, holder.limit, holder.limit, ends)
            continue
        tag, vr, length, start = holder.form.head(data, at)
        if tag in (_ITEM_END, _SEQUENCE_END) or (holder.is_sequence and tag != _ITEM):
            if len(holders) == 1:
                break
            is_own = tag == (_SEQUENCE_END if holder.is_sequence else _ITEM_END)
            at = _close(holders, at, start if is_own else at, ends)
        elif holder.is_sequence or length == UNDEFINED or vr == "SQ":
            holders.append(_hold(holder, vr, length, start))
            at = start
        else:
            at = start + length
        if len(holders) > 2 * MAX_DEPTH:
            raise MessageFault("too_deep", f"items nest deeper than {MAX_DEPTH}")
    while holders:
        _close(holders, len(data), len(data), ends)
    return ends


def _hold(outer: _Holder, vr: str, length: int, start: int) -> _Holder:
    """The item, or the sequence, whose value starts at `start`."""
    is_open = length == UNDEFINED
    limit = outer.limit if is_open else min(start + length, outer.limit)
    form = outer.form if outer.is_sequence else outer.form.inside(vr)
    return _Holder(not outer.is_sequence, start, limit, is_open=is_open, form=form)


def _close(holders: list[_Holder], stop: int, after: int, ends: dict[int, tuple[int, int]]) -> int:
    """End the innermost holder; where to go on."""
    holder = holders.pop()
    if not holder.is_open:
        return holder.limit
    ends[holder.start] = (stop, after)
    return after


def _read(walked: _Walked, form: _Form) -> Dataset:
    raw: dict[BaseTag, RawDataElement | DataElement] = {e.tag: e for e in _elements(walked, form)}
    return Dataset(raw)


def _elements(walked: _Walked, form: _Form) -> Iterator[RawDataElement]:
    """Every element of one level."""
    at = 0
    while at < len(walked):
        tag, vr, length, start = form.head(walked, at)
        if tag in (_ITEM_END, _SEQUENCE_END):
            return
        is_nested = length == UNDEFINED or vr == "SQ"
        stop, at = walked.end_of(start) if length == UNDEFINED else (start + length, start + length)
        if stop > len(walked):
            raise MessageFault("truncated", "an element is longer than what holds it", where=_name(tag))
        is_sequence = is_nested or (vr == "UN" and _vr_of(tag) == "SQ")
        yield RawDataElement(
            BaseTag(tag),
            "SQ" if is_sequence else vr,
            stop - start,
            walked.part(start, stop) if is_nested else walked[start:stop],
            start,
            form.inside(vr).is_implicit if is_sequence else form.is_implicit,
            form.is_little,
        )


def _split(walked: _Walked, form: _Form) -> Iterator[Dataset]:
    """The items of a sequence."""
    at = 0
    while at < len(walked):
        tag, _, length, start = form.head(walked, at)
        if tag != _ITEM:
            return
        stop, at = walked.end_of(start) if length == UNDEFINED else (start + length, start + length)
        yield _read(walked.part(start, min(stop, len(walked))), form)


@lru_cache(maxsize=4096)
def _vr_of(tag: int) -> str:
    try:
        return dictionary_VR(tag)[:2]  # `US or SS`: nothing here reads those
    except KeyError:
        return "UN"


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
