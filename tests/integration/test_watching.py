"""LoRA versions that flip in a running gateway, by what is signed over HL7: on trial, under watch, no restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radbridge.cli.app import app
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import Stage
from radbridge.errors import LoraRefused
from radbridge.flow import watching
from radbridge.journal import deliveries, lora_events
from radbridge.journal.lora_events import LoraEvent
from radbridge.journal.schema import DeliveryState, LoraAction
from radbridge.registry import ALIASES, Aliases, LoraRegistry, LoraVersion, owner_of
from radbridge.testing import FakeModel
from tests.support.dictation import listening
from tests.support.live import LiveGateway, live, make_site
from tests.support.registry import publish_new
from tests.support.ris import Ris

OWNER = owner_of("rad", "1001")
FINDINGS = "There is a 6 mm nodule in the right upper lobe."
SIGNED = "6 mm nodule in the right upper lobe."
WORSE = "There is seen, on the images that were obtained today, a 6 mm nodule which lies in the right upper lobe."


class LoraModel(FakeModel):
    """Drafts as the registry's aliases say at each request; a challenger writes every second draft."""

    def __init__(self, registry: LoraRegistry) -> None:
        super().__init__()
        self.registry = registry
        self.texts: dict[str, str] = {}
        """By version; of others, what is signed."""

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The draft of whoever's turn it is."""
        try:
            aliases = self.registry.aliases(OWNER)
        except LoraRefused:
            aliases = Aliases()
        is_turn = len(self.requests) % 2 == 1
        author = aliases.challenger if aliases.challenger and is_turn else aliases.champion
        name = author.name if author else "base"
        answer = await super().draft(request)
        return replace(answer, draft=self.texts.get(name, SIGNED), lora=name, asked=name, stage=Stage.FINE)


@dataclass
class Room:
    """A gateway at work, and a radiologist who signs what they always sign."""

    gateway: LiveGateway
    model: LoraModel
    versions: Sequence[LoraVersion]
    config: Path
    numbers: count[int]

    async def report(self, *, times: int) -> list[str]:
        """Dictate, wait until the draft is confirmed, sign; so often. The versions that were asked to draft."""
        asked = []
        host, _, port = self.gateway.addresses["hl7v2"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for number in (next(self.numbers) for _ in range(times)):
            ris = Ris(accession=f"A{number:06}")
            for message in (ris.dictated(FINDINGS), ris.signed(SIGNED, FINDINGS)):
                writer.write(b"\x0b" + message + b"\x1c\r")
                assert b"\rMSA|AA|" in await reader.readuntil(b"\x1c\r")
                await self.gateway.until(partial(self.is_delivered, ris.accession))
            (made,) = self.gateway.drafts(ris.accession)
            asked.append(made.draft.asked)
        writer.close()
        return asked

    def is_delivered(self, accession: str) -> bool:
        """Whether the dictation system has the draft."""
        case = self.gateway.case(accession)
        sent = self.gateway.journal.read_now(lambda conn: deliveries.of_case(conn, case.key)) if case else []
        return any(d.state is DeliveryState.CONFIRMED for d in sent)

    def events(self) -> list[LoraEvent]:
        """What was done with the radiologist's LoRAs."""
        return self.gateway.journal.read_now(lambda conn: lora_events.of_owner(conn, OWNER))

    async def command(self, *words: str) -> None:
        """`radbridge loras …`, as an operator types it."""
        result = await asyncio.to_thread(CliRunner().invoke, app, ["loras", *words, "--config", str(self.config)])
        assert result.exit_code == 0, result.output


@pytest.fixture
async def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    """Two published versions; nobody is champion yet."""
    monkeypatch.setattr(watching, "PAUSE_S", 0.0)
    async with at_work(tmp_path) as room:
        yield room


@asynccontextmanager
async def at_work(folder: Path) -> AsyncIterator[Room]:
    """The gateway, its dictation system, and a model server that reads the same registry."""
    registry = LoraRegistry(folder / "registry")
    versions = [publish_new(registry, folder / "made", weights, OWNER) for weights in (b"one", b"two")]
    model = LoraModel(LoraRegistry(registry.root))
    async with listening() as dictation:
        site = make_site(
            folder,
            hl7v2={"destinations": [{"name": "dictation", "address": f"127.0.0.1:{dictation.port}"}]},
            model={"loras": registry.root},
            training={"trial": {"least": 4}},
        )
        config = folder / "site.toml"
        config.write_text(f'[store]\nurl = "{site.store.url}"\n[model]\nloras = "{registry.root}"\n')
        async with live(site, model=model) as gateway:
            yield Room(gateway=gateway, model=model, versions=versions, config=config, numbers=count())


async def test_a_version_that_slips_through_is_rolled_back(room: Room) -> None:
    """A promoted version that is worse is taken back within 40 reports, for the next draft; the journal says why."""
    first, second = room.versions
    await room.command("promote", first.name)
    assert await room.report(times=12) == [first.name] * 12
    room.model.texts[second.name] = WORSE
    await room.command("promote", second.name, "--reason", "by mistake")
    asked = await room.report(times=12)
    await room.gateway.until(lambda: room.events()[-1].action is LoraAction.ROLLED_BACK)
    assert asked[0] == second.name
    event = room.events()[-1]
    assert (event.version, event.actor) == (first.name, "gateway")
    assert "worse than before after" in event.reason
    assert await room.report(times=3) == [first.name] * 3
    assert b'radbridge_trial_decisions_total{decision="roll_back"} 1.0' in room.gateway.metrics_page()


async def test_a_first_version_that_does_harm_leaves_nobody(room: Room) -> None:
    """Where there was no version before, the radiologist has no champion any more and the chain goes on below."""
    first, _ = room.versions
    assert await room.report(times=12) == ["base"] * 12
    room.model.texts[first.name] = WORSE
    await room.command("promote", first.name)
    await room.report(times=12)
    await room.gateway.until(lambda: room.events()[-1].action is LoraAction.ROLLED_BACK)
    assert room.events()[-1].version == OWNER
    assert await room.report(times=1) == ["base"]


@pytest.mark.parametrize(
    ("challenger", "action"), [(SIGNED, LoraAction.PROMOTED), (WORSE, LoraAction.WITHDRAWN)], ids=["better", "worse"]
)
async def test_a_challenger_is_promoted_or_withdrawn(room: Room, challenger: str, action: LoraAction) -> None:
    """A challenger that is nearer becomes champion while reports are dictated, one that is farther off is withdrawn."""
    first, second = room.versions
    nearer = {SIGNED: second, WORSE: first}[challenger]
    room.model.texts |= {second.name: challenger, first.name: WORSE if challenger == SIGNED else SIGNED}
    await room.command("promote", first.name)
    await room.command("challenge", second.name)
    await room.report(times=24)
    await room.gateway.until(lambda: room.events()[-1].action is action)
    assert (room.events()[-1].version, room.events()[-1].actor) == (second.name, "gateway")
    assert await room.report(times=2) == [nearer.name] * 2


async def test_a_registry_that_cannot_be_read_stops_nothing(room: Room) -> None:
    """With damaged aliases reports go on, the fault is counted, and a registry that is mended is watched again."""
    first, second = room.versions
    await room.command("promote", first.name)
    await room.report(times=12)
    room.model.texts[second.name] = WORSE
    await room.command("promote", second.name)
    aliases = room.model.registry.root / OWNER / ALIASES
    sound = aliases.read_bytes()
    aliases.write_bytes(b"{")
    assert await room.report(times=2) == ["base"] * 2
    await room.gateway.until(lambda: b"radbridge_trial_errors_total 0.0" not in room.gateway.metrics_page())
    aliases.write_bytes(sound)
    await room.report(times=12)
    await room.gateway.until(lambda: room.events()[-1].action is LoraAction.ROLLED_BACK)
