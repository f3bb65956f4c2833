"""The site's file."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import pytest

from radbridge.config import (
    Access,
    AccessCertificate,
    Action,
    Audit,
    AuditSyslog,
    Cdshooks,
    CdsIssuer,
    Cluster,
    Delivery,
    Dicom,
    DicomPeer,
    DicomQuery,
    DicomSr,
    Dicomweb,
    Encryption,
    Fhir,
    Fhircast,
    FhircastHub,
    FhirClient,
    FhirDestination,
    FhirSubscriptions,
    Flow,
    Guard,
    Hl7Destination,
    Hl7v2,
    Http,
    Log,
    Memory,
    Model,
    Oidc,
    Retention,
    Store,
    Tls,
    Traces,
    Training,
    Trial,
    load_site,
    split_address,
)
from radbridge.draft import FlagKind, Severity
from radbridge.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    file = folder / "site.toml"
    file.write_text(text)
    return file


def test_defaults_are_on_loopback() -> None:
    """Without a file everything listens on loopback and the model is the embedded one."""
    site = load_site(None)
    assert {split_address(a)[0] for a in (site.hl7v2.listen, site.dicom.listen, site.http.listen)} == {"127.0.0.1"}
    assert site.model.url == "embedded"


def test_every_problem_at_once(tmp_path: Path) -> None:
    """All errors of a file are told together, each with its place."""
    file = write(
        tmp_path,
        '[hl7v2]\nlisten = "2575"\nlissten = 1\n'
        '[[hl7v2.destinations]]\nname = "a b"\naddress = "x"\n[model]\ndeadline_s = 0\n',
    )
    with pytest.raises(ConfigError) as caught:
        load_site(file)
    told = "\n".join(caught.value.problems)
    for place in ("hl7v2.listen", "hl7v2.lissten", "hl7v2.destinations[0].name", "hl7v2.destinations[0].address"):
        assert place in told
    assert "model.deadline_s" in told
    assert len(caught.value.problems) == 5


def test_a_policy_by_word_or_by_severity(tmp_path: Path) -> None:
    """One word stands for every severity; a table names only what it changes."""
    text = '[guard.policy]\nlaterality = "block"\nmeasurement = { critical = "flag", info = "ignore" }\n'
    policy = load_site(write(tmp_path, text)).guard.policy
    assert policy[FlagKind.LATERALITY] == dict.fromkeys(Severity, Action.BLOCK)
    assert policy[FlagKind.MEASUREMENT] == {Severity.CRITICAL: Action.FLAG, Severity.INFO: Action.IGNORE}


def test_a_wrong_policy_names_the_words_that_there_are(tmp_path: Path) -> None:
    """An unknown kind, severity or action is an error with its place and the allowed words, all at once."""
    file = write(
        tmp_path,
        '[guard.policy]\nlateralty = "block"\nnegation = "blok"\ncount = 3\n'
        'site = { critcal = "flag", info = "none" }\n',
    )
    with pytest.raises(ConfigError) as caught:
        load_site(file)
    told = dict(problem.removeprefix(f"{file}: ").split(": ", 1) for problem in caught.value.problems)
    allowed = {
        "guard.policy.lateralty": {*FlagKind},
        "guard.policy.negation": {*Action},
        "guard.policy.site.critcal": {*Severity},
        "guard.policy.site.info": {*Action},
        "guard.policy.count": set[str](),
    }
    assert told.keys() == allowed.keys()
    for place, words in allowed.items():
        assert all(word in told[place] for word in words)


def test_a_policy_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind's action can come from the environment and leaves the file's other kinds."""
    monkeypatch.setenv("RADBRIDGE_GUARD__POLICY__LATERALITY", "flag")
    policy = load_site(write(tmp_path, '[guard.policy]\nlaterality = "block"\nsite = "ignore"\n')).guard.policy
    assert policy[FlagKind.LATERALITY] == dict.fromkeys(Severity, Action.FLAG)
    assert policy[FlagKind.SITE] == dict.fromkeys(Severity, Action.IGNORE)


def test_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`RADBRIDGE_SECTION__KEY` overrides the file's key and leaves the section's others."""
    monkeypatch.setenv("RADBRIDGE_HL7V2__LISTEN", "127.0.0.1:9999")
    site = load_site(write(tmp_path, '[hl7v2]\nlisten = "127.0.0.1:2575"\napplication = "RB"\n'))
    assert (site.hl7v2.listen, site.hl7v2.application) == ("127.0.0.1:9999", "RB")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[hl7v2\n", "not TOML"),
        ('[store]\nurl = "mysql://x"\n', "store.url"),
        ('[model]\nurl = "ray-head"\n', "model.url"),
        ("[nonsense]\n", "nonsense"),
        ("\xff", "site.toml"),
    ],
)
def test_bad_file(tmp_path: Path, text: str, told: str) -> None:
    """A file that can't be used is refused with its name and place."""
    file = tmp_path / "site.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=told):
        load_site(file)


def test_missing_file(tmp_path: Path) -> None:
    """A file that isn't there is named."""
    with pytest.raises(ConfigError, match="no such file"):
        load_site(tmp_path / "none.toml")


def test_a_name_twice(tmp_path: Path) -> None:
    """Two destinations can't share a name: deliveries are kept by it."""
    peer = '[[hl7v2.destinations]]\nname = "a"\naddress = "127.0.0.1:1"\n'
    with pytest.raises(ConfigError, match="used twice"):
        load_site(write(tmp_path, peer + peer))


def test_a_name_twice_in_two_wires(tmp_path: Path) -> None:
    """A name is taken for every wire, and two are taken by our own parts; all of it is told at once."""
    file = write(
        tmp_path,
        '[[hl7v2.destinations]]\nname = "a"\naddress = "127.0.0.1:1"\n'
        '[[fhir.destinations]]\nname = "a"\nurl = "https://ehr.example/fhir"\n'
        '[[fhircast.hubs]]\nname = "fhir"\nurl = "https://hub.example"\ntopic = "t"\nreport_server = "b"\n',
    )
    with pytest.raises(ConfigError) as caught:
        load_site(file)
    told = "\n".join(caught.value.problems)
    assert "hl7v2.destinations: the name 'a' is used twice" in told
    assert "fhir.destinations: the name 'a' is used twice" in told
    assert "fhircast.hubs: the name 'fhir' is taken" in told
    assert "which is none of fhir.destinations" in told


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "radbridge.example:8080"])
def test_an_open_port_is_asked_for(tmp_path: Path, listen: str) -> None:
    """Where others can reach the port, nobody answers without a login unless the site says so in so many words."""
    text = f'[http]\nlisten = "{listen}"\n'
    with pytest.raises(ConfigError) as caught:
        load_site(write(tmp_path, text))
    assert [p.split(": ")[1] for p in caught.value.problems] == ["fhir", "fhircast", "cdshooks"]
    assert load_site(write(tmp_path, text + "[fhir]\nopen = true\n")).fhir.open
    off = "".join(f"[{name}]\nenabled = false\n" for name in ("fhir", "fhircast", "cdshooks"))
    assert not load_site(write(tmp_path, text + off)).http.is_loopback


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "[::1]:8080", "localhost:8080"])
def test_loopback_needs_no_login(tmp_path: Path, listen: str) -> None:
    """On this machine alone the defaults are enough."""
    assert load_site(write(tmp_path, f'[http]\nlisten = "{listen}"\n')).http.is_loopback


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[http]\ntls_cert = "a.pem"', "tls_cert and tls_key go together"),
        ('[http]\nclient_ca = "a.pem"', "client_ca needs"),
        ('[[fhir.clients]]\nid = "a"\nscopes = ["system/*.rs"]', "either jwks or jwks_uri"),
        ('[[fhir.destinations]]\nname = "a"\nurl = "https://e.example"\nclient_id = "b"', "go together"),
        ('[[fhir.destinations]]\nname = "a"\nurl = "https://u:p@e.example"', "pattern"),
    ],
)
def test_halves_are_told(tmp_path: Path, text: str, told: str) -> None:
    """What makes sense only with something else is an error without it; a URL holds no credentials."""
    with pytest.raises(ConfigError, match=told):
        load_site(write(tmp_path, text))


@pytest.mark.parametrize("word", ["daily", "0h", "24", "24 h", "1.5h"])
def test_a_period_is_a_number_and_a_unit(tmp_path: Path, word: str) -> None:
    """What isn't like 24h, 30m or 7d is told with the form."""
    with pytest.raises(ConfigError, match=r"training\.every: .*such as 24h"):
        load_site(write(tmp_path, f'[training]\nevery = "{word}"\n'))


def test_training_needs_a_memory_and_a_registry(tmp_path: Path) -> None:
    """A schedule at a site that remembers nothing and publishes nowhere is an error that says what to set."""
    text = '[training]\nevery = "24h"\nat = "02:30"\n[memory]\nenabled = false\n'
    with pytest.raises(ConfigError) as caught:
        load_site(write(tmp_path, text))
    told = "\n".join(caught.value.problems)
    assert "memory.enabled = true" in told
    assert "model.loras" in told
    site = load_site(write(tmp_path, '[training]\nevery = "7d"\nat = "02:30"\n[model]\nloras = "loras"\n'))
    assert (site.training.period, site.training.time_of_day) == (timedelta(days=7), time(2, 30))


@pytest.mark.parametrize("loras", ["", 'loras = "elsewhere"'])
def test_the_embedded_server_reads_what_training_publishes(tmp_path: Path, loras: str) -> None:
    """A registry that the embedded server never reads is an error; one's own server may read any."""
    registry = '[training]\nregistry = "loras"\n[model]\n'
    with pytest.raises(ConfigError, match=r"training\.registry: loras isn't what .* set model\.loras alone"):
        load_site(write(tmp_path, f"{registry}{loras}\n"))
    assert load_site(write(tmp_path, f'{registry}loras = "./loras"\n')).registry == Path("loras")
    assert load_site(write(tmp_path, f'{registry}url = "http://models:8090"\n{loras}\n')).registry == Path("loras")
    assert load_site(write(tmp_path, f"[model]\n{loras}\n")).registry == (Path("elsewhere") if loras else None)


def test_whose_reports_are_learned_from() -> None:
    """Named radiologists are left out, or with `opt_in` they alone are taken."""
    out, only = Training(radiologists=("1001",)), Training(consent="opt_in", radiologists=("1001",))
    assert [out.has_consent(id) for id in ("1001", "1002")] == [False, True]
    assert [only.has_consent(id) for id in ("1001", "1002")] == [True, False]


@pytest.mark.parametrize(("address", "parts"), [("h:1", ("h", 1)), ("[::1]:80", ("::1", 80))])
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    """Names, IPv4 and bracketed IPv6 are read."""
    assert split_address(address) == parts


@pytest.mark.parametrize("address", ["", "h", "h:", ":1", "h:70000", "::1:80", "h:1:2", "h\0:1"])
def test_bad_addresses(address: str) -> None:
    """Anything else is an error that shows the form."""
    with pytest.raises(ValueError, match="host:port"):
        split_address(address)


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", "a..b", "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 64])
def test_names_that_dns_can_not_have(host: str, tmp_path: Path) -> None:
    """A host whose name nothing could bind or find is told as a fault of the file, listener or peer."""
    peer = f'[[hl7v2.destinations]]\nname = "d"\naddress = "{host}:1"\n'
    for key, text in (("http.listen", f'[http]\nlisten = "{host}:1"\n'), (r"hl7v2\.destinations\[0\].address", peer)):
        (tmp_path / "site.toml").write_text(text)
        with pytest.raises(ConfigError, match=rf"{key}: Value error, is no name that DNS can have"):
            load_site(tmp_path / "site.toml")


def test_the_reference_lists_every_key() -> None:
    """Every key of the file stands in the reference, in its section."""
    reference = (Path(__file__).parents[2] / "docs/reference/configuration.md").read_text()
    sections = dict(part.split("`\n", 1) for part in reference.split("\n## `")[1:])
    for name, section in (
        ("[access]", Access),
        ("[access.oidc]", Oidc),
        ("[[access.certificates]]", AccessCertificate),
        ("[audit]", Audit),
        ("[audit.syslog]", AuditSyslog),
        ("[cdshooks]", Cdshooks),
        ("[cluster]", Cluster),
        ("[dicom]", Dicom),
        ("[dicom.dicomweb]", Dicomweb),
        ("[dicom.pacs]", DicomQuery),
        ("[dicom.tls]", Tls),
        ("[dicom.worklist]", DicomQuery),
        ("[[*.destinations]]", Delivery),
        ("[[dicom.destinations]]", DicomSr),
        ("[[dicom.peers]]", DicomPeer),
        ("[encryption]", Encryption),
        ('[cdshooks.client_issuers."ISS"]', CdsIssuer),
        ("[fhir]", Fhir),
        ("[[fhir.clients]]", FhirClient),
        ("[[fhir.destinations]]", FhirDestination),
        ("[fhir.subscriptions]", FhirSubscriptions),
        ("[fhircast]", Fhircast),
        ("[[fhircast.hubs]]", FhircastHub),
        ("[flow]", Flow),
        ("[guard]", Guard),
        ("[hl7v2]", Hl7v2),
        ("[hl7v2.tls]", Tls),
        ("[[hl7v2.destinations]]", Hl7Destination),
        ("[http]", Http),
        ("[log]", Log),
        ("[memory]", Memory),
        ("[model]", Model),
        ("[retention]", Retention),
        ("[store]", Store),
        ("[traces]", Traces),
        ("[training]", Training),
        ("[training.trial]", Trial),
    ):
        tables = {"certificates", "clients", "destinations", "dicomweb", "hubs", "oidc", "pacs", "peers"}
        tables |= {"subscriptions", "syslog", "trial", "worklist"} | ({"tls"} if section in (Dicom, Hl7v2) else set())
        tables |= set() if section is Delivery else set(Delivery.model_fields)
        for key in set(section.model_fields) - tables:
            assert f"`{key}`" in sections[name], f"{name} {key}"


def test_the_readmes_examples_are_valid(tmp_path: Path) -> None:
    """The files that the README shows are ones that a gateway starts with."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    first, dicom = (part.split("```")[0] for part in readme.split("```toml\n")[1:])
    assert load_site(write(tmp_path, first)).hl7v2.destinations[0].name == "dictation"
    assert load_site(write(tmp_path, dicom)).dicom.destinations[0].name == "archive"
