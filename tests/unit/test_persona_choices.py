"""Which persona writes for a radiologist without a LoRA of their own: chosen on disk, looked up at each request."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radbridge.errors import RegistryError
from radbridge.registry import LoraRegistry, PersonaChoices, read_choices, write_choices
from radbridge.registry.personas import CHOICES
from tests.support.registry import publish_new
from tests.support.serving import ask, captured_logs, echo, make_service

PLAIN, LONG = "persona/plain", "persona/long"
ids = st.text(min_size=1, max_size=12)


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    """Two personas, each with a champion."""
    registry = LoraRegistry(tmp_path / "registry")
    for owner in (PLAIN, LONG):
        registry.promote(publish_new(registry, tmp_path, owner.encode(), owner))
    return registry


async def test_a_choice_counts_from_the_next_request_on(registry: LoraRegistry) -> None:
    """Written while the server runs, the persona drafts from then on; what the settings say wins over it."""
    service = make_service(echo(), registry)
    assert (await service.drafter.draft(ask())).asked == "base"
    for owner in (PLAIN, LONG):
        write_choices(registry.root, {"900001": owner})
        assert (await service.drafter.draft(ask())).asked.partition("@")[0] == owner
    said = make_service(echo(), registry, personas={"900001": PLAIN})
    assert (await said.drafter.draft(ask())).asked.partition("@")[0] == PLAIN


async def test_an_own_lora_goes_before_a_persona(registry: LoraRegistry, tmp_path: Path) -> None:
    """A persona is only until there is a LoRA of their own."""
    write_choices(registry.root, {"900001": PLAIN})
    own = publish_new(registry, tmp_path, b"own")
    registry.promote(own)
    assert (await make_service(echo(), registry).drafter.draft(ask())).asked == own.name


@given(st.lists(st.tuples(ids, st.sampled_from([PLAIN, LONG])), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)
def test_the_last_choice_stands(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    """Choices add up, the later one of a radiologist standing; a reader that was there before sees each."""
    (tmp_path / CHOICES).unlink(missing_ok=True)
    reader = PersonaChoices(tmp_path)
    for radiologist, owner in written:
        write_choices(tmp_path, {radiologist: owner})
        assert reader.find(radiologist) == owner
    assert read_choices(tmp_path) == dict(written)


@pytest.mark.parametrize("content", [b"{", b'{"1": 2}', b'{"1": "rad/2"}', b'["persona/plain"]', b"\xff"])
def test_a_damaged_file_chooses_nobody(tmp_path: Path, content: bytes) -> None:
    """Drafting goes on as if nobody had been chosen, which is told once; whoever reads the file to write it is told."""
    (tmp_path / CHOICES).write_bytes(content)
    choices = PersonaChoices(tmp_path)
    with captured_logs() as log:
        assert [choices.find("1"), choices.find("1")] == [None, None]
    assert log.getvalue().count("persona choices can't be read") == 1
    with pytest.raises(RegistryError, match="can't be read"):
        read_choices(tmp_path)


def test_only_a_persona_is_chosen(tmp_path: Path) -> None:
    """Nobody drafts with another radiologist's LoRA."""
    with pytest.raises(RegistryError, match="persona/succinct"):
        write_choices(tmp_path, {"1": "rad/2"})
    assert read_choices(tmp_path) == {}
