"""What training changes and reads is in the trail, before it is done and before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radbridge.audit import Note, What
from radbridge.cli.common import account
from radbridge.config import Trial, load_site
from radbridge.errors import RegistryError
from radbridge.journal import audit, sources
from radbridge.journal.schema import LoraAction
from radbridge.journal.sources import Mark
from radbridge.journal.stores import Stores
from radbridge.learning import Ways
from radbridge.registry import LoraRegistry
from radbridge_training.serving import Serving
from radbridge_training.turn.folder import Told, begin
from radbridge_training.turn.marked import settle_marked
from radbridge_training.turn.publishing import ACTOR, Lineage, Publisher
from radbridge_training.turn.workshop import Workshop
from tests.support.registry import OWNER, publish_rivals, trained
from tests.support.signed_reports import BEGAN, sign_reports, write_site
from tests.support.train import run_train

LINEAGE = Lineage(base_digest="b" * 64, prompt_version="p2")


def notes(stores: Stores) -> list[Note]:
    with stores.begin() as conn:
        audit.chain_pending(conn)
    with stores.connect() as conn:
        return [event.note for event in audit.chained(conn)]


def wanted(stores: Stores) -> list[tuple[str, str]]:
    """What was noted before it was done."""
    mine = [note.detail for note in notes(stores) if note.actor == ACTOR and "wanted" in note.detail]
    return [(told["wanted"], told["lora"]) for told in mine]


def kill_at(registry: LoraRegistry, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The process ends at the moment when it would change the registry so."""

    def die(*_: Any, **__: Any) -> None:
        raise RegistryError("killed")

    monkeypatch.setattr(registry, name, die)


@pytest.mark.parametrize(("at", "mode"), [("publish", "canary"), ("challenge", "canary"), ("promote", "none")])
def test_a_flip_is_noted_before_it_is_made(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, mode: str
) -> None:
    """Killed at the very flip, a turn has noted what it was about to do, and recorded no more than was done."""
    registry = LoraRegistry(tmp_path / "loras")
    publisher = Publisher(registry, stores, secret=b"secret")
    with monkeypatch.context() as killed:
        kill_at(registry, killed, at)
        with pytest.raises(RegistryError):
            publish(publisher, tmp_path / "killed", mode)
    *_, (act, name) = wanted(stores)
    assert (act, name.partition("@")[0]) == (at, OWNER)
    done = [note.detail.get("changed") for note in notes(stores)]
    assert (LoraAction.PUBLISHED in done) is (at != "publish")
    assert not {LoraAction.PROMOTED, LoraAction.CHALLENGED} & set(done)


def publish(publisher: Publisher, folder: Path, mode: str) -> None:
    version = publisher.publish(trained(folder), OWNER, LINEAGE, reason="passed")
    publisher.serve(version, Trial.model_validate({"mode": mode}), reason="passed")


@pytest.mark.parametrize(("at", "act"), [("lose", "withdraw"), ("retire", "retire")])
def test_what_is_taken_back_is_noted_before(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, act: str
) -> None:
    """Marked weights go out of service behind a note, too."""
    registry = LoraRegistry(tmp_path / "loras")
    for version in publish_rivals(registry, tmp_path):
        with stores.begin() as conn:
            sources.mark(conn, [version.name], Mark(at=BEGAN, actor="somebody", reason="a patient withdrew"))
    shop = Workshop(
        site=load_site(write_site(tmp_path)),
        serving=Serving(base=tmp_path, digest="b" * 64, ways=Ways()),
        registry=registry,
        stores=stores,
        secret=b"secret",
    )
    turn = begin(tmp_path / "turns", Told(began=BEGAN, recipe="r", base="b", owners=()))
    kill_at(registry, monkeypatch, at)
    with pytest.raises(RegistryError):
        settle_marked(shop, turn)
    assert wanted(stores)[-1][0] == act


def test_who_reads_reports_is_noted(stores: Stores, url: str, tmp_path: Path) -> None:
    """`train examples` notes whose reports it takes out, and how many, under the account of the machine."""
    sign_reports(url, people=2, reports=12)
    site = write_site(tmp_path, least_reports=8)
    site.write_text(site.read_text().replace(f"sqlite:///{tmp_path}/radbridge.db", url))
    recipe = tmp_path / "turn.yaml"
    recipe.write_text("gate: {least_later: 2}")
    status, said = run_train(
        "examples", "--out", str(tmp_path / "rows"), "--recipe", str(recipe), "--config", str(site)
    )
    assert status == 0, said
    assert told(stores, lambda note: note.what is What.EXPORTED) == [
        {"command": "train examples", "radiologist": id, "reports": "12"} for id in ("1001", "1002")
    ]


def told(stores: Stores, of: Callable[[Note], bool]) -> list[dict[str, str]]:
    return [dict(note.detail) for note in notes(stores) if of(note) and note.actor == account()]
