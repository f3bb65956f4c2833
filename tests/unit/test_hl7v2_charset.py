"""Character sets: what MSH-18 says, and what the bytes say."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.hl7v2.charset import CODECS, codec_for, decode
from radbridge_adapters.hl7v2.header import read_charset


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("", "utf-8"),
        ("ASCII", "ascii"),
        ("8859/1", "iso8859-1"),
        ("8859/15", "iso8859-15"),
        ("UNICODE UTF-8", "utf-8"),
        ("UTF-8", "utf-8"),
        ("utf8", "utf-8"),
        ("ISO-8859-1", "iso8859-1"),
        ("ISO_IR 192", "utf-8"),
        ("GB 18030-2000", "gb18030"),
        ("KS X 1001", "euc_kr"),
        ("BIG-5", "big5hkscs"),
        ("ISO IR87", "iso2022_jp_ext"),
        ("~ISO IR87", "iso2022_jp_ext"),
        ("ASCII~ISO IR14~ISO IR87", "iso2022_jp_ext"),
        ("8859/1~UNICODE UTF-8", "iso8859-1"),
    ],
)
def test_names(declared: str, codec: str) -> None:
    """Table 0211's names, repetitions and senders' spellings of them name a codec."""
    assert codec_for(declared, "utf-8") == codec
    codecs.lookup(codec)


@pytest.mark.parametrize("declared", ["KLINGON", "UNICODE UTF-16", "DOE"])
def test_unknown_names(declared: str) -> None:
    """A name that is none is unknown, and its message is read by its bytes."""
    assert codec_for(declared, "utf-8") is None
    assert decode("né".encode(), declared, "utf-8").text == "né"


@pytest.mark.parametrize(
    ("raw", "declared", "default", "text", "lied"),
    [
        ("né".encode(), "UNICODE UTF-8", "utf-8", "né", False),
        ("né".encode("latin-1"), "8859/1", "utf-8", "né", False),
        ("né".encode("latin-1"), "", "latin-1", "né", False),
        ("né".encode("latin-1"), "UNICODE UTF-8", "utf-8", "né", True),
        ("né".encode("latin-1"), "", "utf-8", "né", True),
        ("né".encode(), "8859/1", "utf-8", "né", True),
        ("né".encode(), "ASCII", "utf-8", "né", True),
        ("né".encode("latin-1"), "ASCII", "utf-8", "né", True),
        ("肺".encode("gb18030"), "GB 18030-2000", "utf-8", "肺", False),
        ("肺".encode("iso2022_jp"), "~ISO IR87", "utf-8", "肺", False),
        ("肺".encode("euc_kr"), "KS X 1001", "utf-8", "肺", False),
        ("肺".encode("gb18030"), "UNICODE UTF-8", "gb18030", "肺", True),
        (b"plain", "KLINGON", "utf-8", "plain", True),
        (b"pl\0ain\0", "", "utf-8", "plain", False),
    ],
)
def test_bytes_decide(raw: bytes, declared: str, default: str, text: str, *, lied: bool) -> None:
    """A declaration is believed when the bytes agree; else UTF-8, else Latin-1, and the lie is told."""
    decoded = decode(raw, declared, default)
    assert (decoded.text, decoded.lied) == (text, lied)


@given(
    st.binary(),
    st.sampled_from([*CODECS, "nonsense", "~", "~~8859/1"]),
    st.sampled_from(["utf-8", "iso8859-1", "cp1252"]),
)
def test_decoding_never_fails(raw: bytes, declared: str, default: str) -> None:
    """Any bytes under any declaration become text without NULs."""
    assert "\0" not in decode(raw, declared, default).text


@given(st.text(st.characters(codec="gb18030", exclude_categories=["Cs"]), max_size=30))
def test_separators_inside_characters(text: str) -> None:
    """A multibyte character whose second byte looks like a separator stays whole."""
    raw = f"MSH|^~\\&|A|B|C|D|||ORU^R01|1|P|2.5||||||GB 18030-2000\rOBX|{text}".encode("gb18030")
    assert read_charset(raw) == "GB 18030-2000"
    assert decode(raw, read_charset(raw), "utf-8").text.endswith("OBX|" + text.replace("\0", ""))
