"""The DICOM tables of the site's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from radbridge.config import load_site
from radbridge.errors import ConfigError

PEER = '[[dicom.peers]]\nname = "pacs"\nae_title = "ARCHIVE"\naddress = "127.0.0.1:4242"\n'


def write(folder: Path, text: str) -> Path:
    file = folder / "site.toml"
    file.write_text(text)
    return file


def test_a_whole_site_is_read(tmp_path: Path) -> None:
    """A site with a PACS, a worklist, DICOMweb and a destination is what its file says."""
    text = (
        '[dicom]\nlisten = "0.0.0.0:11112"\nae_title = " RB "\n'
        '[dicom.worklist]\npeer = "pacs"\n[dicom.pacs]\npeer = "pacs"\ntimeout_s = 2\n'
        '[dicom.dicomweb]\nurl = "https://pacs.example/dicom-web"\n'
        f'[[dicom.destinations]]\nname = "archive"\npeer = "pacs"\n{PEER}addresses = ["192.0.2.0/24", "2001:db8::7"]\n'
    )
    dicom = load_site(write(tmp_path, text)).dicom
    assert (dicom.ae_title, dicom.peer("pacs").ae_title) == ("RB", "ARCHIVE")
    assert [str(network) for network in dicom.peer("pacs").addresses] == ["192.0.2.0/24", "2001:db8::7/128"]
    assert dicom.pacs is not None
    assert (dicom.pacs.timeout_s, dicom.pacs.retries) == (2, 2)


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "A\\\\B", "A\\tB", "A\\nB", "ÄRZTE", "A\\u007f"], ids=repr)
def test_bad_titles(tmp_path: Path, title: str) -> None:
    """An AE title that no association could carry is an error."""
    with pytest.raises(ConfigError, match=r"dicom\.ae_title: .*must (have 1 to 16|be plain ASCII)"):
        load_site(write(tmp_path, f'[dicom]\nae_title = "{title}"\n'))


@pytest.mark.parametrize("title", ["A", "A" * 16, " STORE SCP ", "aA-_.:/1"])
def test_good_titles(tmp_path: Path, title: str) -> None:
    """Spaces within, and any other plain character, are an AE title's own."""
    assert load_site(write(tmp_path, f'[dicom]\nae_title = "{title}"\n')).dicom.ae_title == title.strip()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[dicom.worklist]\npeer = "pacs"\n', "dicom.worklist has peer 'pacs', which is none of dicom.peers"),
        ('[dicom.pacs]\npeer = "nobody"\n' + PEER, "dicom.pacs has peer 'nobody', which is none of dicom.peers"),
        (
            '[[dicom.destinations]]\nname = "sr"\npeer = "ct"\n[[dicom.peers]]\nname = "ct"\nae_title = "CT"\n',
            "dicom.destinations: 'sr' has peer 'ct', which is none of dicom.peers that have an address",
        ),
        (PEER + PEER, "dicom.peers: the name 'pacs' is used twice"),
        (
            PEER + '[[dicom.destinations]]\nname = "x"\npeer = "pacs"\n'
            '[[hl7v2.destinations]]\nname = "x"\naddress = "127.0.0.1:1"\n',
            "dicom.destinations: the name 'x' is used twice",
        ),
        (PEER + '[[dicom.destinations]]\nname = "fhir"\npeer = "pacs"\n', "the name 'fhir' is taken by our own"),
        ('[[dicom.peers]]\nname = "ct"\nae_title = "CT"\ntls = true\n', "give its address too"),
        (PEER + 'ca_file = "ca.pem"\n', "ca_file needs tls = true"),
        ("[dicom]\nmax_pdu_bytes = 4095\n", "dicom.max_pdu_bytes"),
        ('[dicom]\nprivate_classes = ["1.02.3"]\n', r"dicom.private_classes\[0\]"),
        ('[dicom]\ntimezone = "Mars/Base"\n', "must be UTC or a name"),
        (
            '[dicom.dicomweb]\nurl = "http://h/d"\ntoken_file = "a"\nbasic_file = "b"\n',
            "token_file or basic_file, not both",
        ),
        ('[dicom.dicomweb]\nurl = "http://user:secret@h/d"\n', "dicom.dicomweb.url"),
    ],
)
def test_what_cannot_work_is_told(tmp_path: Path, text: str, told: str) -> None:
    """Peers that aren't there, names used twice and halves of settings are errors before any start."""
    with pytest.raises(ConfigError, match=told):
        load_site(write(tmp_path, text))


@pytest.mark.parametrize("listen", ["0.0.0.0:11112", "[::]:11112", "radbridge.example:104"])
def test_on_a_network_callers_are_named(tmp_path: Path, listen: str) -> None:
    """Beyond this machine nobody may send studies whom the site doesn't name."""
    text = f'[dicom]\nlisten = "{listen}"\n'
    with pytest.raises(ConfigError, match=r"anybody may call; name dicom\.peers"):
        load_site(write(tmp_path, text))
    assert load_site(write(tmp_path, text + PEER)).dicom.listen == listen
    assert not load_site(write(tmp_path, text + "enabled = false\n")).dicom.enabled
