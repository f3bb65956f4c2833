"""Each way from findings to an impression over HTTP, with and without signed reports beside the case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from radbridge.registry import LoraRegistry, LoraVersion
from radbridge_model_server.service import Service
from tests.support.registry import trained
from tests.support.serving import BASE_DIGEST, Voice, echo, make_service, serve

FINDINGS = "There is a 12 mm nodule in the right upper lobe. No pleural effusion."
EXAMPLES = [{"id": f"m{n}", "findings": "A mass.", "impression": f"Mass {n}."} for n in range(5)]
ASKED = {"id": "d1", "findings": FINDINGS, "modality": "CT", "radiologist": "900001"}
SITE_SAID, OWN_SAID = "12 mm right upper lobe nodule is seen.", "12 mm right upper lobe nodule."


@pytest.fixture
def loras(tmp_path: Path) -> tuple[LoraRegistry, dict[str, LoraVersion]]:
    """A registry with the LoRAs of the site and of a radiologist."""
    registry, versions = LoraRegistry(tmp_path / "registry"), {}
    for owner in ("site/all", "rad/900001"):
        folder = trained(tmp_path / owner, owner.encode())
        versions[owner] = registry.publish(folder, owner, base_digest=BASE_DIGEST, prompt_version="p2")
        registry.promote(versions[owner])
    return registry, versions


def service_of(loras: tuple[LoraRegistry, dict[str, LoraVersion]], **options: Any) -> Service:
    registry, versions = loras
    voices = {versions["site/all"].name: SITE_SAID, versions["rad/900001"].name: OWN_SAID}
    return make_service(echo(voices=voices, context_tokens=4096), registry, site_lora="site/all", **options)


WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "single": ({"strategy": "single"}, {"strategy": "single", "stage": "whole", "coarse_lora": "none"}),
    "statements": ({}, {"strategy": "coarse_to_fine", "stage": "fine", "coarse_lora": "none"}),
    "refine": ({"coarse_by": "site_lora"}, {"strategy": "coarse_to_fine", "stage": "fine"}),
}


@pytest.mark.parametrize("examples", [[], EXAMPLES], ids=["without", "with"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_draft_tells_how_it_came_to_be(
    loras: tuple[LoraRegistry, dict[str, LoraVersion]], way: str, examples: list[dict[str, str]]
) -> None:
    """Strategy, both LoRAs and the examples in view stand in the answer, for each way."""
    options, expected = WAYS[way]
    async with serve(service_of(loras, **options)) as http:
        told = (await http.post("/v1/drafts", json=ASKED | {"examples": examples, "memory": "m1/5"})).json()
    assert (told["draft"], told["lora"], told["fallback"]) == (OWN_SAID, loras[1]["rad/900001"].name, [])
    assert {key: told[key] for key in expected} == expected
    assert told["coarse_lora"] == (loras[1]["site/all"].name if way == "refine" else "none")
    assert ("site" in told["timings_ms"]) == (way == "refine")
    if way != "statements":
        assert told["examples"] == [e["id"] for e in examples[:3]]


async def test_the_coarse_event_is_the_site_loras(loras: tuple[LoraRegistry, dict[str, LoraVersion]]) -> None:
    """As events: first what the site LoRA wrote, then the refining LoRA's pieces, then the draft."""
    async with serve(service_of(loras, coarse_by="site_lora")) as http:
        answer = await http.post("/v1/drafts", json=ASKED, headers={"accept": "text/event-stream"})
    events = [part.split("\n") for part in answer.text.strip().split("\n\n")]
    told = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in events]
    assert told[0] == ("coarse", {"id": "d1", "draft": SITE_SAID, "stage": "coarse"})
    assert "".join(data["text"] for name, data in told if name == "text").strip() == OWN_SAID
    assert (told[-1][0], told[-1][1]["draft"]) == ("draft", OWN_SAID)


async def test_what_is_left_out_reaches_no_prompt(loras: tuple[LoraRegistry, dict[str, LoraVersion]]) -> None:
    """`leave_out` keeps context from the model, and the guard reads it all the same."""
    voice = Voice("Prostate is enlarged.")
    engine = echo(say=voice, context_tokens=4096)
    service = make_service(engine, strategy="single", leave_out=("sex", "indication"))
    async with serve(service) as http:
        told = (await http.post("/v1/drafts", json=ASKED | {"sex": "F", "indication": "Cough.", "age": 50})).json()
    assert voice.asked[0].startswith("Study: CT 50\nFindings:")
    assert "sex_or_age" in {flag["kind"] for flag in told["flags"]}


@pytest.mark.parametrize(
    "examples",
    [EXAMPLES * 7, [{"id": "m1", "impression": "x" * 4001}], [{"id": "m1", "impression": "x", "findings": "y" * 4001}]],
    ids=["33", "long impression", "long findings"],
)
async def test_too_many_or_too_long_examples_are_refused(
    loras: tuple[LoraRegistry, dict[str, LoraVersion]], examples: list[dict[str, str]]
) -> None:
    """More than 32, or texts of more than 4,000 characters, are an invalid request that quotes none of them."""
    async with serve(service_of(loras)) as http:
        answer = await http.post("/v1/drafts", json=ASKED | {"examples": examples})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("examples")
    assert "Mass" not in answer.text
    assert "xxxx" not in answer.text
