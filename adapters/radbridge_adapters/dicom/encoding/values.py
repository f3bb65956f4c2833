"""Values of a data set as text, dates and codes, read by us.

pydicom's converters warn about, log or refuse what many senders write (unknown character sets, odd lengths, times with
colons), and their words hold the values. So elements are kept raw, and read here: what can't be read is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import chain, islice

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from radbridge.case import Code
from radbridge.text.controls import strip_controls
from radbridge_adapters.dicom.encoding.charsets import Charset
from radbridge_adapters.dicom.encoding.raw import split_items

MAX_ITEMS = 1000
"""Of one sequence that are read at once."""

_CHARACTER_SET = 0x00080005

_WHOLE_TEXT = frozenset(("ST", "LT", "UT", "UR"))
"""VRs in which a backslash is a backslash."""
_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})(?!\d)")
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})")
_UID = re.compile(r"\d+(\.\d+)*", re.ASCII)
_MOST_UID = 64


def is_uid(text: str) -> bool:
    """Whether this names an object as UIDs do (PS3.5, 9.1).

    Components with leading zeros are let pass: some modalities write them, and a study is found by no other name.
    """
    return len(text) <= _MOST_UID and _UID.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def tag_of(keyword: str) -> int:
    """The tag of a keyword of the data dictionary."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no keyword of the data dictionary")
    return tag


@lru_cache(maxsize=1024)
def _is_multiple(tag: int) -> bool:
    return dictionary_VM(tag) != "1" and dictionary_VR(tag) not in _WHOLE_TEXT


@dataclass(frozen=True, slots=True)
class Elements:
    """A data set to read from; of several, laid one over the other, the first that has a value counts."""

    layers: tuple[tuple[Dataset, Charset], ...] = field(repr=False)

    @classmethod
    def of(cls, dataset: Dataset, default_charset: str = "utf-8") -> Elements:
        """Of a whole data set."""
        return cls((_with_charset(dataset, Charset(default=default_charset)),))

    def over(self, below: Elements) -> Elements:
        """These elements, and where they have none, those `below`."""
        return Elements((*self.layers, *below.layers))

    def texts(self, keyword: str) -> list[str]:
        """The values of an element, without padding and control characters; those that are empty too."""
        tag = tag_of(keyword)
        for dataset, charset in self.layers:
            text = _text(dataset, tag, charset)
            if text.strip("\\"):
                return [_clean(v) for v in text.split("\\")] if _is_multiple(tag) else [_clean(text)]
        return []

    def text(self, *keywords: str) -> str:
        """The first value of the first of these elements that has one."""
        return next((value for keyword in keywords for value in self.texts(keyword) if value), "")

    def has(self, keyword: str) -> bool:
        """Whether the element is there, with a value or without."""
        return any(tag_of(keyword) in dataset for dataset, _ in self.layers)

    def each(self, keyword: str) -> Iterator[Elements]:
        """The items of a sequence, one after the other."""
        tag = tag_of(keyword)
        for dataset, charset in self.layers:
            items = _items(dataset, tag)
            if (first := next(items, None)) is not None:
                yield from (Elements((_with_charset(item, charset),)) for item in chain((first,), items))
                return

    def items(self, keyword: str) -> list[Elements]:
        """The first `MAX_ITEMS` items of a sequence."""
        return list(islice(self.each(keyword), MAX_ITEMS))

    def first(self, keyword: str) -> Elements:
        """The first item of a sequence; one without any elements when there is none."""
        return next(self.each(keyword), Elements(()))

    def code(self, keyword: str) -> Code:
        """The first code of a code sequence; empty when there is none."""
        return self.first(keyword).as_code()

    def as_code(self) -> Code:
        """These elements as an item of a code sequence (PS3.3 8.8)."""
        return Code(
            value=self.text("CodeValue", "LongCodeValue", "URNCodeValue"),
            system=self.text("CodingSchemeDesignator"),
            display=self.text("CodeMeaning"),
        )

    def date(self, keyword: str) -> date | None:
        """A day (DA), also in the form of before 1993 (`1993.08.22`), or of a DT."""
        return _day(self.text(keyword))

    def moment(self, day: str, time: str, zone: tzinfo) -> datetime | None:
        """A day and a time (DA and TM); midnight when the time isn't told."""
        on = self.date(day)
        if on is None:
            return None
        match = _TIME.match(self.text(time))
        hour, minute, second, fraction = match.groups("0") if match else ("0", "0", "0", "0")
        try:
            return datetime(
                on.year,
                on.month,
                on.day,
                int(hour),
                int(minute),
                min(int(second), 59),  # 60 is a leap second (PS3.5 6.2, TM)
                int(fraction.ljust(6, "0")),
                tzinfo=self.offset() or zone,
            )
        except ValueError:
            return None

    def offset(self) -> tzinfo | None:
        """TimezoneOffsetFromUTC (0008,0201), which holds for every time of the data set."""
        match = _OFFSET.fullmatch(self.text("TimezoneOffsetFromUTC"))
        if match is None or int(match[2]) > 14 or int(match[3]) > 59:
            return None
        minutes = int(match[2]) * 60 + int(match[3])
        return timezone(timedelta(minutes=minutes if match[1] == "+" else -minutes)) if minutes else UTC

    @property
    def lies(self) -> Sequence[str]:
        """The character sets that were declared and that some text didn't fit."""
        return [lie for _, charset in self.layers for lie in charset.lies]


def _with_charset(dataset: Dataset, outer: Charset) -> tuple[Dataset, Charset]:
    declared = _text(dataset, _CHARACTER_SET, outer)
    terms = tuple(term.strip(" \0") for term in declared.split("\\")) if declared.strip(" \0") else ()
    return dataset, outer.within(terms)


def _element(dataset: Dataset, tag: int) -> DataElement | RawDataElement | None:
    try:
        return dataset.get_item(tag)
    except KeyError:
        return None


def _text(dataset: Dataset, tag: int, charset: Charset) -> str:
    element = _element(dataset, tag)
    if element is None or element.value is None:
        return ""
    value = element.value
    if isinstance(value, bytes):
        return charset.decode(value).strip("\0 ")
    if isinstance(value, (Sequence, Mapping)) and not isinstance(value, str):
        return "\\".join(str(v) for v in value if not isinstance(v, Dataset))
    return str(value)


def _items(dataset: Dataset, tag: int) -> Iterator[Dataset]:
    element = _element(dataset, tag)
    if isinstance(element, RawDataElement):
        return split_items(element)
    value = element.value if element is not None else None
    return (v for v in value if isinstance(v, Dataset)) if isinstance(value, Sequence) else iter(())


def _day(text: str) -> date | None:
    match = _DATE.match(text)
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


def _clean(text: str) -> str:
    return (text if text.isascii() and text.isprintable() else strip_controls(text)).strip()
