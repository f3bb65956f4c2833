"""A prompt is built for the LoRA that reads it: those trained before style was shown are served on."""

from __future__ import annotations

from pathlib import Path

import pytest

from radbridge.draft import Stage
from radbridge.example import StyleExample
from radbridge.prompt import Template, readable_versions
from radbridge.registry import LoraRegistry
from radbridge_model_server.engines.lora_check import LoraRules, read_rules
from radbridge_model_server.engines.start import read_prompt_version
from radbridge_model_server.settings import PACKAGED, Settings
from tests.support.registry import trained
from tests.support.serving import BASE_DIGEST, FINDINGS, Voice, ask, echo, make_service

EXAMPLES = (StyleExample(id="m1", findings="A mass.", impression="1. Mass."),)


def publish(folder: Path, prompt_version: str) -> LoraRegistry:
    """A registry where radiologist 900001 has a LoRA of this version."""
    registry = LoraRegistry(folder / "registry")
    lora = trained(folder / "lora")
    registry.promote(registry.publish(lora, "rad/900001", base_digest=BASE_DIGEST, prompt_version=prompt_version))
    return registry


@pytest.mark.parametrize(("version", "shown"), [("p1", ()), ("p2", ("m1",))])
async def test_a_lora_gets_the_prompt_it_was_trained_on(tmp_path: Path, version: str, shown: tuple[str, ...]) -> None:
    """Signed examples are in view of a LoRA of `p2` only; the draft names the version and the examples in view."""
    voice = Voice("12 mm nodule.")
    engine = echo(say=voice, context_tokens=4096)
    service = make_service(engine, publish(tmp_path, version), strategy="single")
    drafted = await service.drafter.draft(ask(examples=EXAMPLES))
    assert ("Signed: 1. Mass." in voice.asked[0]) == bool(shown)
    assert (drafted.prompt_version, drafted.examples, drafted.stage) == (version, shown, Stage.WHOLE)


@pytest.mark.parametrize(("version", "seen"), [("p1", f"Findings: {FINDINGS[9:]}"), ("p2", "")])
async def test_a_statement_is_shown_as_it_was_in_training(tmp_path: Path, version: str, seen: str) -> None:
    """LoRAs of `p1` saw a statement as findings too; those of `p2` see it once."""
    voice = Voice("12 mm right upper lobe nodule.")
    engine = echo(say=voice)
    drafted = await make_service(engine, publish(tmp_path, version)).drafter.draft(ask())
    assert voice.asked[0].count("nodule") == (2 if seen else 1)
    assert ("Findings: " in voice.asked[0]) == bool(seen)
    assert drafted.prompt_version == version


async def test_a_lora_of_no_known_version_is_passed_over(tmp_path: Path) -> None:
    """The next in line writes, and the reason is told."""
    engine = echo(say=lambda _: "12 mm right upper lobe nodule.")
    drafted = await make_service(engine, publish(tmp_path, "p0")).drafter.draft(ask())
    assert drafted.lora == "base"
    assert drafted.fallback[0].startswith("LoRA for the signer refused: ")


async def test_the_base_alone_reads_what_its_manifest_says() -> None:
    """A base that was trained on `p1` is shown no examples when it drafts without a LoRA."""
    voice = Voice("Nodule.")
    engine = echo(say=voice, prompt_version="p1", context_tokens=4096)
    drafted = await make_service(engine, strategy="single").drafter.draft(ask(examples=EXAMPLES))
    assert "Signed" not in voice.asked[0]
    assert (drafted.lora, drafted.prompt_version, drafted.examples) == ("base", "p1", ())


@pytest.mark.parametrize(
    ("manifest", "template", "version"),
    [
        ('{"prompt_version": "p1"}', Template.PLAIN, "p1"),
        ('{"prompt_version": "p2"}', Template.PLAIN, "p2"),
        ('{"prompt_version": "p1"}', Template.CHATRADIO, "p2-chatradio"),
        ('{"prompt_version": ["p1"]}', Template.ALPACA, "p2-alpaca"),
        ("{}", Template.T5, "p2-t5"),
        ("", Template.PLAIN, "p2"),
    ],
)
def test_a_base_that_does_not_say_reads_the_newest(
    tmp_path: Path, manifest: str, template: Template, version: str
) -> None:
    """The manifest decides where it names a version of the configured template; else it is that template's."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "manifest.json").write_text(manifest)
    assert read_prompt_version(Settings(base=tmp_path, prompt_template=template)) == version


def test_every_readable_version_may_be_loaded() -> None:
    """What the rules let in is what prompts can be built for."""
    for template in (Template.PLAIN, Template.ALPACA):
        rules = read_rules(Settings(base=PACKAGED / "base", prompt_template=template), "0" * 64)
        assert rules.prompt_versions == readable_versions(template)
    assert LoraRules(base_digest="", max_rank=8).prompt_versions == {"p1", "p2"}
