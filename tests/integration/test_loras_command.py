"""`radbridge loras`: what an operator types at night, against a registry and a journal on disk."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from sqlalchemy import create_engine, select
from typer.testing import CliRunner, Result

from radbridge import audit
from radbridge.cli.app import app
from radbridge.errors import JournalError, RegistryError
from radbridge.journal import lora_events
from radbridge.journal.schema import audit_pending
from radbridge.journal.stores import migrate
from radbridge.loras import Act, Wanted, carry_out
from radbridge.registry import ALIASES, MANIFEST, NUMBERS, WEIGHTS, LoraRegistry, owner_of
from tests.support.registry import OWNER, publish_new, trained


class Desk:
    """A site with a registry of two versions, and a journal where the test wants one."""

    def __init__(self, folder: Path, *, journal: bool = True) -> None:
        self.folder = folder
        self.registry = LoraRegistry(folder / "registry")
        self.first, self.second = (publish_new(self.registry, folder / "made", w) for w in (b"one", b"two"))
        self.config = folder / "site.toml"
        self.url = f"sqlite:///{folder}/radbridge.db"
        self.config.write_text(f'[store]\nurl = "{self.url}"\n[model]\nloras = "{self.registry.root}"\n')
        if journal:
            engine = create_engine(self.url)
            migrate(engine)
            engine.dispose()

    def run(self, *words: str) -> Result:
        """One command."""
        return CliRunner().invoke(app, ["loras", *words, "--config", str(self.config)])

    def events(self) -> list[tuple[str, str, str]]:
        """What the journal holds: action, version, reason."""
        engine = create_engine(self.url)
        try:
            with engine.connect() as conn:
                return [(e.action, e.version, e.reason) for e in lora_events.of_owner(conn, OWNER)]
        finally:
            engine.dispose()

    def notes(self) -> list[tuple[str, str, str]]:
        """What the audit trail holds: wanted or changed, outcome, by which way."""
        engine = create_engine(self.url)
        try:
            with engine.connect() as conn:
                found = [audit.read(row.document, row.at) for row in conn.execute(select(audit_pending))]
        finally:
            engine.dispose()
        return [(n.detail.get("wanted") or n.detail["changed"], n.outcome, n.via) for n in found]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_version_s_life_by_hand(desk: Desk) -> None:
    """Promoted, challenged, withdrawn, promoted, rolled back: the aliases follow, and the journal says who and why."""
    first, second = desk.first, desk.second
    steps = [
        (("promote", first.name, "--reason", "first of its owner"), first, None, None),
        (("challenge", second.name), first, second, None),
        (("withdraw", OWNER), first, None, None),
        (("promote", f"{OWNER}@v2", "--reason", "gate passed"), second, None, first),
        (("rollback", OWNER, "--reason", "drops laterality"), first, None, second),
    ]
    for words, champion, challenger, previous in steps:
        result = desk.run(*words)
        assert result.exit_code == 0, result.output
        standing = desk.registry.aliases(OWNER)
        assert (standing.champion, standing.challenger, standing.previous) == (champion, challenger, previous)
        assert champion.name in result.output
    assert desk.events() == [
        ("promoted", first.name, "first of its owner"),
        ("challenged", second.name, ""),
        ("withdrawn", second.name, ""),
        ("promoted", second.name, "gate passed"),
        ("rolled_back", first.name, "drops laterality"),
    ]


def test_a_retired_champion_can_be_brought_back(desk: Desk) -> None:
    """Retired, nobody is champion and the journal says so; a rollback brings the version back."""
    desk.run("promote", desk.first.name)
    retired = desk.run("retire", OWNER, "--reason", "has left")
    assert retired.exit_code == 0, retired.output
    assert desk.registry.champion(OWNER) is None
    assert desk.events()[-1] == ("rolled_back", OWNER, "has left")
    desk.run("rollback", OWNER)
    assert desk.registry.champion(OWNER) == desk.first


def test_the_trail_knows_of_each_try_before_the_files_flip(desk: Desk) -> None:
    """Where a try can't be noted nothing is changed; a refusal is noted too, and which way it came."""

    def away(*_: object) -> None:
        raise JournalError("away")

    wanted = Wanted(act=Act.PROMOTE, name=desk.first.name, actor="alice", via="api")
    with pytest.raises(JournalError, match="away"):
        carry_out(desk.registry, wanted, away)
    assert desk.registry.champion(OWNER) is None
    assert desk.run("promote", desk.first.name).exit_code == 0
    assert desk.run("rollback", OWNER).exit_code == 1
    assert desk.notes() == [
        ("promote", "0", "cli"),
        ("promoted", "0", "cli"),
        ("rollback", "0", "cli"),
        ("rollback", "4", "cli"),
    ]


def test_who_did_it_is_the_systems_word(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment makes nobody somebody else; sudo's word stands beside, and nobody is called as the gateway is."""
    me, before = pwd.getpwuid(os.getuid()), pwd.getpwall()[-1].pw_name
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "radbridge")
    for act, sudo, called in (
        ("promote", "", me.pw_name),
        ("retire", "nobody at all", me.pw_name),
        ("rollback", before, me.pw_name),
        ("retire", before, "Radbridge"),
    ):
        monkeypatch.setenv("SUDO_USER", sudo)
        with patch("radbridge.cli.common.pwd.getpwuid", lambda _, name=called: SimpleNamespace(pw_name=name)):
            assert desk.run(act, desk.first.name if act == "promote" else OWNER).exit_code == 0
    engine = create_engine(desk.url)
    with engine.connect() as conn:
        actors = [event.actor for event in lora_events.of_owner(conn, OWNER)]
    engine.dispose()
    uid = f"uid {me.pw_uid}"
    assert actors == [me.pw_name, me.pw_name, f"{me.pw_name} (sudo {before})", f"{uid} (sudo {before})"]


def test_a_flip_that_misses_in_the_history_is_in_the_trail(desk: Desk) -> None:
    """The journal fails between the flip and its event: the try is noted, and who asked is told what happened."""
    kept: list[object] = []

    def once(_: object, item: object) -> None:
        if kept:
            raise JournalError("away")
        kept.append(item)

    with pytest.raises(JournalError, match="made and noted"):
        carry_out(desk.registry, Wanted(act=Act.PROMOTE, name=desk.first.name, actor="alice", via="api"), once)
    assert desk.registry.champion(OWNER) == desk.first
    [note] = kept
    assert isinstance(note, audit.Note)
    assert (note.actor, note.detail["lora"]) == ("alice", desk.first.name)


def test_a_refusal_stays_one_where_it_cannot_be_noted(desk: Desk) -> None:
    """The journal fails after the try was noted: who asked is told why it was refused."""
    kept: list[object] = []

    def once(_: object, item: object) -> None:
        if kept:
            raise JournalError("away")
        kept.append(item)

    with pytest.raises(RegistryError, match="no previous version"):
        carry_out(desk.registry, Wanted(act=Act.ROLLBACK, name=OWNER, actor="alice", via="api"), once)
    assert len(kept) == 1


def test_a_journal_that_cannot_be_used_stops_the_change(desk: Desk) -> None:
    """There is one, and it can't be opened: that isn't taken for no journal, and nothing is changed."""
    (desk.folder / "radbridge.db").write_bytes(b"no database" * 1000)
    assert desk.run("promote", desk.first.name).exit_code == 1
    assert desk.registry.champion(OWNER) is None


def test_a_change_that_changes_nothing_is_no_event(desk: Desk) -> None:
    """Promoting the champion again says so, and the journal stays as it was."""
    desk.run("promote", desk.first.name)
    again = desk.run("promote", desk.first.name)
    assert again.exit_code == 0
    assert "nothing to change" in again.output
    assert len(desk.events()) == 1


def test_the_list_shows_who_has_what(desk: Desk) -> None:
    """Each owner has a row with its aliases, its number, the window it learned from and its metrics."""
    assert "no LoRA yet" in desk.run("list", "--registry", str(desk.folder / "empty")).output
    other = desk.registry.publish(
        trained(desk.folder / "other"),
        owner_of("rad", "900002"),
        base_digest="b" * 64,
        prompt_version="p1",
        metrics={"rouge_l": 0.41},
    )
    desk.registry.promote(other)
    desk.run("promote", desk.second.name)
    lines = desk.run("list").output.splitlines()
    [mine] = [line for line in lines if OWNER in line]
    assert desk.second.folder in mine
    assert str(desk.second.number) in mine
    [others] = [line for line in lines if other.owner in line]
    assert "rouge_l 0.41" in others


def test_show_tells_all_of_a_version(desk: Desk) -> None:
    """A version is shown with its whole manifest, its alias and what was done with it; an owner with all versions."""
    desk.run("promote", desk.second.name, "--reason", "gate [passed]")
    shown = desk.run("show", f"{OWNER}@v2")
    assert shown.exit_code == 0, shown.output
    assert f'"version": "{desk.second.name}"' in shown.output
    assert "champion" in shown.output
    assert "gate [passed]" in shown.output
    assert desk.first.folder not in shown.output
    whole = desk.run("show", OWNER).output
    assert desk.first.folder in whole
    assert desk.second.folder in whole


@pytest.mark.parametrize("file", [WEIGHTS, MANIFEST])
def test_damage_is_shown_and_never_promoted(desk: Desk, file: str) -> None:
    """A version whose files were changed is told by `show` (status 1) and refused by `promote`; the list comes."""
    desk.run("promote", desk.first.name)
    (desk.second.path / file).write_bytes(b"{}")
    shown = desk.run("show", OWNER)
    assert shown.exit_code == 1
    assert "not sound" in shown.output
    refused = desk.run("promote", f"{OWNER}@v2")
    assert refused.exit_code == 1
    assert "refused" in refused.output
    assert desk.registry.champion(OWNER) == desk.first
    assert desk.run("list").exit_code == 0


def test_a_damaged_challenger_can_be_withdrawn(desk: Desk) -> None:
    """A trial of a version whose manifest can't be read any more is ended, said and recorded."""
    desk.run("promote", desk.first.name)
    desk.run("challenge", desk.second.name)
    (desk.second.path / MANIFEST).write_text("{")
    result = desk.run("withdraw", OWNER)
    assert result.exit_code == 0, result.output
    assert "nothing to change" not in result.output
    assert desk.registry.aliases(OWNER).challenger is None
    assert desk.events()[-1] == ("withdrawn", desk.second.name, "")


def test_damaged_aliases_are_repaired_by_hand(desk: Desk) -> None:
    """The list says whose aliases are damaged; a rollback refuses, and a promotion puts them right."""
    desk.run("promote", desk.first.name)
    (desk.registry.root / OWNER / ALIASES).write_text("{")
    assert ALIASES in desk.run("list").output
    assert desk.run("rollback", OWNER).exit_code == 1
    assert desk.run("promote", desk.second.name).exit_code == 0
    assert desk.registry.champion(OWNER) == desk.second


def test_another_base_needs_force(desk: Desk) -> None:
    """A version for another base than the champion's is promoted only by whoever says that the base changes too."""
    desk.run("promote", desk.first.name)
    other = desk.registry.publish(
        trained(desk.folder / "other", b"other"), OWNER, base_digest="c" * 64, prompt_version="p1"
    )
    refused = desk.run("promote", other.name)
    assert refused.exit_code == 1
    assert "--force" in refused.output
    assert desk.registry.champion(OWNER) == desk.first
    assert desk.run("promote", other.name, "--force").exit_code == 0
    assert desk.registry.champion(OWNER) == other


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("show", "rad/900009"), "loras list"),
        (("promote", OWNER), "which version"),
        (("promote", f"{OWNER}@"), "which version"),
        (("promote", f"{OWNER}@v9"), "loras list"),
        (("show", "rad/[/nobody]"), "rad/[/nobody]"),
        (("promote", f"{OWNER}@v"), "loras list"),
        (("rollback", OWNER), "no previous version"),
        (("rollback", "900001"), "rad/<id>"),
        (("withdraw", "rad/900009"), "publish one first"),
        (("promote", "../../etc@v1"), "rad, site or persona"),
    ],
)
def test_a_slip_is_told_with_what_to_do(desk: Desk, words: tuple[str, ...], hint: str) -> None:
    """A name that means nothing changes nothing, ends with status 1, and the message says what to type instead."""
    result = desk.run(*words)
    assert result.exit_code == 1, result.output
    assert hint in " ".join(result.output.split())
    assert desk.registry.champion(OWNER) is None


def test_without_a_registry_the_config_is_named(tmp_path: Path) -> None:
    """Where no registry is configured the error names the key and the option, with the status of a wrong config."""
    result = CliRunner().invoke(app, ["loras", "list"])
    assert result.exit_code == 2
    assert "model.loras" in result.output
    assert "--registry" in result.output


def test_the_registry_may_be_training_s_own(tmp_path: Path) -> None:
    """Where `training.registry` alone is set, for a model server of one's own, that is what is listed and changed."""
    registry = LoraRegistry(tmp_path / "theirs")
    publish_new(registry, tmp_path, b"one")
    config = tmp_path / "site.toml"
    config.write_text(f'[training]\nregistry = "{registry.root}"\n[model]\nurl = "http://models:8090"\n')
    result = CliRunner().invoke(app, ["loras", "list", "--config", str(config)])
    assert (result.exit_code, OWNER in result.output) == (0, True), result.output


def test_without_a_journal_the_change_is_made_and_said_to_be_unrecorded(tmp_path: Path) -> None:
    """On a machine without the site's journal a promotion works, and the operator is told that nothing recorded it."""
    desk = Desk(tmp_path, journal=False)
    result = desk.run("promote", desk.first.name)
    assert result.exit_code == 0
    assert "recorded nowhere" in result.output
    assert desk.registry.champion(OWNER) == desk.first
    assert not (tmp_path / "radbridge.db").exists()


def test_an_id_as_hl7_has_it_finds_its_owner(desk: Desk) -> None:
    """An operator may type the id that the message has, with its carets."""
    version = publish_new(desk.registry, desk.folder / "jane", b"jane", owner_of("rad", "DOE^JANE"))
    assert desk.run("promote", "rad/DOE^JANE@v1").exit_code == 0
    assert desk.registry.champion(version.owner) == version


def test_a_damaged_counter_stops_no_rollback(desk: Desk) -> None:
    """With a counter that can't be read, what is published can still be promoted and rolled back."""
    desk.run("promote", desk.first.name)
    (desk.registry.root / NUMBERS).write_text("{")
    assert desk.run("promote", desk.second.name).exit_code == 0
    assert desk.run("rollback", OWNER).exit_code == 0
    assert desk.registry.champion(OWNER) == desk.first
