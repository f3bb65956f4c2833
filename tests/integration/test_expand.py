"""`task: expand` over HTTP: key phrases to findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from radbridge.registry import LoraRegistry
from radbridge_model_server.service import Service
from tests.support.registry import trained
from tests.support.serving import BASE_DIGEST, Voice, echo, make_service, serve

PHRASES = "12 mm nodule in the right upper lobe."
FINDINGS = "There is a 12 mm nodule in the right upper lobe. It is solid and has smooth margins."
ASKED = {"id": "d1", "findings": PHRASES, "task": "expand", "radiologist": "900001", "modality": "CT"}


async def post(service: Service, **changes: Any) -> tuple[int, dict[str, Any]]:
    async with serve(service) as http:
        answer = await http.post("/v1/drafts", json=ASKED | changes)
    return answer.status_code, answer.json()


async def test_key_phrases_become_findings() -> None:
    """The base is asked the other way round where the site says so, and no coarse text is made."""
    voice = Voice(FINDINGS)
    status, told = await post(make_service(echo(say=voice), expand_lora="base"))
    assert set(voice.asked) == {f"Study: CT\nImpression: {PHRASES}\nFindings:\n"}
    assert (status, told["draft"], told["lora"], told["stage"]) == (200, FINDINGS, "base", "whole")
    assert (told["strategy"], told["coarse_lora"], told["fallback"]) == ("single", "none", [])


async def test_what_the_phrases_do_not_say_is_flagged() -> None:
    """A finding that the phrases don't name is flagged, a lost one too, and the wrong side blocks as in any draft."""
    said = "There is a 12 mm nodule in the left upper lobe. There is a large pneumothorax."
    _, told = await post(
        make_service(echo(say=lambda _: said), expand_lora="base"), findings=f"{PHRASES} Pulmonary embolism."
    )
    flags = {flag["kind"]: flag["severity"] for flag in told["flags"]}
    assert flags["laterality"] == "critical"
    assert {"unsupported", "omitted"} <= flags.keys()


async def test_the_lora_that_expands_is_the_sites_choice(tmp_path: Path) -> None:
    """It writes for every radiologist; their own LoRAs, which learnt to conclude, aren't asked."""
    registry = LoraRegistry(tmp_path / "registry")
    versions = {}
    for owner in ("site/expand", "rad/900001"):
        folder = trained(tmp_path / owner, owner.encode())
        versions[owner] = registry.publish(folder, owner, base_digest=BASE_DIGEST, prompt_version="p2")
        registry.promote(versions[owner])
    voices = {versions["site/expand"].name: FINDINGS, versions["rad/900001"].name: "Nodule."}
    _, told = await post(make_service(echo(voices=voices), registry, expand_lora="site/expand"))
    assert (told["draft"], told["lora"]) == (FINDINGS, versions["site/expand"].name)


@pytest.mark.parametrize(
    ("expand_lora", "reason"),
    [("", "expand needs a model"), ("site/expand", "expand needs a model: no LoRA to expand")],
)
async def test_where_nobody_expands_it_is_told(expand_lora: str, reason: str) -> None:
    """Without a LoRA or a base that the site names for it the answer is 503, and no impression comes in its place."""
    status, told = await post(make_service(echo(say=lambda _: FINDINGS), expand_lora=expand_lora))
    assert (status, told["type"], told["detail"]) == (503, "urn:radbridge:unavailable", reason)


async def test_without_an_engine_nobody_expands() -> None:
    """A server that loads no model says so."""
    status, told = await post(make_service(None, expand_lora="base"))
    assert (status, told["detail"]) == (503, "expand needs a model")


async def test_a_text_that_is_none_is_not_shown() -> None:
    """There is nothing to fall back to: the draft is empty, with the reason."""
    status, told = await post(make_service(echo(say=lambda _: ""), expand_lora="base"))
    assert (status, told["draft"], told["fallback"]) == (200, "", ["text refused: it is empty"])


async def test_an_unknown_task_is_told() -> None:
    """Another word is an invalid request that names the key."""
    status, told = await post(make_service(echo()), task="sing")
    assert status == 422
    assert told["detail"].startswith("task: ")
