"""Text of any character set, declared rightly, wrongly or not at all."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding

from radbridge.imaging import Told
from radbridge_adapters.dicom.encoding.charsets import Charset, find_codec
from radbridge_adapters.dicom.encoding.header import EXPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.raw import read_dataset
from radbridge_adapters.dicom.incoming.mapping import read_told

ESC = b"\x1b"
SAMPLES = {
    "none": ((), b"CT CHEST", "CT CHEST"),
    "latin 1": (("ISO_IR 100",), "Schädel".encode("latin-1"), "Schädel"),
    "latin 9": (("ISO_IR 203",), "Œdème €".encode("iso8859-15"), "Œdème €"),
    "cyrillic": (("ISO_IR 144",), "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг"),
    "greek": (("ISO_IR 126",), "Διονυσιος".encode("iso8859-7"), "Διονυσιος"),
    "arabic": (("ISO_IR 127",), "قباني".encode("iso8859-6"), "قباني"),
    "hebrew": (("ISO_IR 138",), "שרון".encode("iso8859-8"), "שרון"),
    "thai": (("ISO_IR 166",), "ไทย".encode("tis-620"), "ไทย"),
    "katakana": (("ISO_IR 13",), "ﾔﾏﾀﾞ^ﾀﾛｳ".encode("shift_jis"), "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    "utf-8": (("ISO_IR 192",), "胸部 Brust".encode(), "胸部 Brust"),
    "gb18030": (("GB18030",), "王^小东".encode("gb18030"), "王^小东"),
    "gb18030, four bytes": (("GB18030",), "𠀀㐀 CT".encode("gb18030"), "𠀀㐀 CT"),
    "gbk": (("GBK",), "胸部平扫".encode("gbk"), "胸部平扫"),
    "gbk with a backslash byte": (("GBK",), b"\x81\x5c", codecs.decode(b"\x81\x5c", "gbk")),
    # PS3.5 annex H.3.1: ideographic and phonetic groups by code extensions
    "japanese": (
        ("", "ISO 2022 IR 87"),
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    # PS3.5 annex H.3.2: JIS X 0201 first
    "japanese with katakana": (
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
    ),
    "japanese, supplementary": (
        ("", "ISO 2022 IR 87", "ISO 2022 IR 159"),
        b"\x1b$(D" + "丂".encode("iso2022_jp_2")[4:6] + b"\x1b(B",
        "丂",
    ),
    # PS3.5 annex I.2
    "korean": (
        ("", "ISO 2022 IR 149"),
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    # PS3.5 annex K.2
    "chinese by code extensions": (
        ("", "ISO 2022 IR 58"),
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    "two halves": (
        ("ISO 2022 IR 100", "ISO 2022 IR 144"),
        "Äther ".encode("latin-1") + b"\x1b-L" + "Люк".encode("iso8859-5"),
        "Äther Люк",
    ),
    "reset at the end of a line": (
        ("ISO 2022 IR 100", "ISO 2022 IR 144"),
        b"\x1b-L" + "Люк".encode("iso8859-5") + b"\r\n" + "Äther".encode("latin-1"),
        "Люк\r\nÄther",
    ),
}


@pytest.mark.parametrize(("terms", "value", "text"), SAMPLES.values(), ids=SAMPLES)
def test_declared(terms: tuple[str, ...], value: bytes, text: str) -> None:
    """Text in the set that was declared is read, and nothing is noted."""
    charset = Charset(terms=terms)
    assert charset.decode(value) == text
    assert charset.lies == []


@pytest.mark.parametrize(
    ("terms", "value", "default", "text"),
    [
        ((), "Schädel".encode(), "utf-8", "Schädel"),
        ((), "Schädel".encode("latin-1"), "utf-8", "Schädel"),
        ((), "胸部".encode("gb18030"), "gb18030", "胸部"),
        (("ISO_IR 100",), "Schädel".encode(), "utf-8", "Schädel"),
        (("ISO_IR 192",), "Schädel".encode("latin-1"), "utf-8", "Schädel"),
        (("GB18030",), b"\xff\xff CT", "utf-8", "ÿÿ CT"),
        (("KOI8",), "Люк".encode("koi8-r"), "koi8-r", "Люк"),
        (("ISO 2022 IR 999",), "Schädel".encode("latin-1"), "latin-1", "Schädel"),
        (("DOE^JANE",), "é".encode(), "utf-8", "é"),
        (("", "ISO 2022 IR 87"), b"\x1b$B\x7f\x7f", "utf-8", "\x1b$B\x7f\x7f"),
        (("", "ISO 2022 IR 149"), b"\xfb", "utf-8", "û"),
    ],
)
def test_declared_wrongly(terms: tuple[str, ...], value: bytes, default: str, text: str) -> None:
    """What doesn't fit is tried as UTF-8 and in the site's set, then read as Latin-1; and it is noted."""
    charset = Charset(terms=terms, default=default)
    assert charset.decode(value) == text
    assert charset.lies == ["\\".join(terms)]


@pytest.mark.parametrize("term", ["ISO-IR 100", "ISO_IR_100", "iso_ir100", "ISO8859-1", "IR 100", "LATIN1"])
def test_spellings(term: str) -> None:
    """Names that senders write in place of the standard's are known."""
    assert find_codec(term) == "iso8859-1"


@pytest.mark.parametrize("term", [t for t in python_encoding if t not in ("ISO 2022 58", "ISO 2022 GBK")])
def test_every_standard_name(term: str) -> None:
    """Every name that pydicom knows is known."""
    assert find_codec(term) is not None


@given(st.lists(st.sampled_from([*python_encoding, "X", "ISO 2022 IR 9"]), max_size=3), st.binary(max_size=60))
def test_any_bytes(terms: list[str], value: bytes) -> None:
    """Any bytes under any declaration are read, without an error or a warning."""
    assert isinstance(Charset(terms=tuple(terms)).decode(value), str)


def _element(tag: bytes, vr: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return tag + vr + len(value).to_bytes(2, "little") + value


def _told(terms: bytes, description: bytes) -> Told:
    """What is told by an object of which only character set, description and patient's sex are there."""
    elements = (
        _element(b"\x08\x00\x05\x00", b"CS", terms)
        + _element(b"\x08\x00\x30\x10", b"LO", description)
        + _element(b"\x10\x00\x40\x00", b"CS", b"F")
    )
    return read_told(read_dataset(elements, EXPLICIT_LITTLE), "images")


@pytest.mark.parametrize(
    ("terms", "description", "text"),
    [
        (b"GB18030", "胸部CT平扫".encode("gb18030"), "胸部CT平扫"),
        (b"\\ISO 2022 IR 87", b"\x1b$B6;It\x1b(B CT", "胸部 CT"),
        (b"NO_SUCH_SET", "Röntgen".encode(), "Röntgen"),
        (b"\xff\xfe\x00", b"CT", "CT"),
    ],
)
def test_whole_object(terms: bytes, description: bytes, text: str) -> None:
    """An object is read whatever its character set is called; codes, dates and UIDs count in any case."""
    told = _told(terms, description)
    assert (told.description, told.sex) == (text, "F")
    assert told.modality in ("CT", "")


def test_item_with_its_own_set() -> None:
    """An item may declare another set than what holds it (PS3.3 C.12.1.1.2)."""
    inner = _element(b"\x08\x00\x05\x00", b"CS", b"ISO_IR 144") + _element(
        b"\x40\x00\x02\x10", b"LO", "Боль".encode("iso8859-5")
    )
    item = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
    elements = (
        _element(b"\x08\x00\x05\x00", b"CS", b"ISO_IR 100")
        + _element(b"\x08\x00\x30\x10", b"LO", "Knie für".encode("latin-1"))
        + b"\x40\x00\x75\x02SQ\0\0"
        + len(item).to_bytes(4, "little")
        + item
    )
    told = read_told(read_dataset(elements, EXPLICIT_LITTLE), "images")
    assert (told.description, told.reason) == ("Knie für", "Боль")
