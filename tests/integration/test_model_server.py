"""The model server as it is run: its own process, its own Ray, a real port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import LoraRegistry, LoraVersion, digest_weights, owner_of
from radbridge_model_server.settings import PACKAGED
from tests.support.model_server import ModelServerProcess, await_gone, processes_of

PATIENCE_S = 600
FINDINGS = "There is a 12 mm nodule in the right upper lobe. No pleural effusion. Heart size is normal."
CASES: list[dict[str, Any]] = [
    {"id": f"c{n}", "findings": f"{FINDINGS} There is a {n} cm cyst in the left kidney.", "radiologist": radiologist}
    for n, radiologist in enumerate(("900001", "900002", "900003", "", "900001", "900002", "nobody", "DOE^J/../.."), 1)
]
LONG = " ".join(f"There is a {n} mm nodule in segment {n} of the liver." for n in range(2, 30))
"""Findings that take the engine a while."""

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoraVersion]:
    """Radiologists 900001 and 900002 have LoRAs of their own, 900003 one of another base."""
    registry = LoraRegistry(tmp_path_factory.mktemp("registry"))
    digest = digest_weights(PACKAGED / "base")
    published = {}
    for radiologist, persona, base in (
        ("900001", "elaborate", digest),
        ("900002", "numbered", digest),
        ("900003", "elaborate", "f" * 64),
    ):
        version = registry.publish(
            PACKAGED / "loras" / persona, owner_of("rad", radiologist), base_digest=base, prompt_version=PROMPT_VERSION
        )
        registry.promote(version)
        published[radiologist] = version
    return published


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, versions: dict[str, LoraVersion]
) -> Iterator[tuple[ModelServerProcess, str]]:
    registry = versions["900001"].path.parents[2]
    running = ModelServerProcess(
        tmp_path_factory.mktemp("server"),
        {"loras": str(registry), "max_queue": 24, "max_batch": 8, "deadline_s": PATIENCE_S},
    )
    yield running, running.wait_ready()
    family = processes_of(running.process.pid)
    assert running.process.stdin
    running.process.stdin.close()  # as when the parent dies
    assert running.wait_end() == 0
    assert await_gone(family) == set()


@pytest.fixture
async def http(server: tuple[ModelServerProcess, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server[1], timeout=PATIENCE_S, trust_env=False) as client:
        yield client


async def draft(http: httpx.AsyncClient, case: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post("/v1/drafts", json=case)
    assert answer.status_code == 200, answer.text
    drafted: dict[str, Any] = answer.json()
    return drafted


async def test_mixed_loras_at_once_draft_what_they_draft_alone(http: httpx.AsyncClient) -> None:
    """Requests of several radiologists at the same time get the drafts that each gets alone."""
    alone = [await draft(http, case) for case in CASES]
    together = await asyncio.gather(*(draft(http, case) for case in CASES))
    keys = ("id", "draft", "lora", "stage", "fallback", "flags")
    assert [{key: d[key] for key in keys} for d in together] == [{key: d[key] for key in keys} for d in alone]
    assert all(d["draft"] for d in together)


async def test_the_signers_own_lora_is_asked(http: httpx.AsyncClient, versions: dict[str, LoraVersion]) -> None:
    """A radiologist with a LoRA of their own gets text by exactly that version."""
    for radiologist in ("900001", "900002"):
        answer = await http.post(
            "/v1/chat/completions",
            json={
                "model": f"rad/{radiologist}",
                "messages": [{"role": "user", "content": "Impression:\n"}],
                "max_tokens": 4,
            },
        )
        assert answer.json()["model"] == versions[radiologist].name
        assert "no LoRA for the signer" not in (await draft(http, {**CASES[0], "radiologist": radiologist}))["fallback"]


async def test_an_unknown_radiologist_gets_the_sites_lora(http: httpx.AsyncClient) -> None:
    """Who has no LoRA is drafted for with the site's, and the draft says so."""
    drafted = await draft(http, {**CASES[0], "radiologist": "nobody"})
    assert drafted["fallback"][0] == "no LoRA for the signer"
    assert drafted["lora"].startswith("persona/succinct@v") or drafted["stage"] == "coarse"


async def test_a_refused_lora_gives_way(http: httpx.AsyncClient) -> None:
    """A LoRA made for another base is never used; the next in line drafts, and the draft says why."""
    drafted = await draft(http, {**CASES[0], "radiologist": "900003"})
    assert drafted["fallback"][0].startswith("LoRA for the signer refused: it was trained on another base model")
    assert drafted["draft"]


async def test_a_deadline_that_can_not_be_met_is_504(http: httpx.AsyncClient) -> None:
    """When the time is up before there is any text, the answer is 504 with a problem document."""
    answer = await http.post("/v1/drafts", json={"id": "x", "findings": FINDINGS * 400, "deadline_ms": 1})
    assert answer.status_code == 504
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:radbridge:deadline-passed"


async def test_a_late_fine_text_leaves_the_coarse_one(http: httpx.AsyncClient) -> None:
    """When only the fine text is late, the coarse one is the draft."""
    drafted: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE_S):
        for deadline_ms in cycle((20, 40, 80, 160, 320, 640)):  # which of them is between both depends on the machine
            answer = await http.post("/v1/drafts", json={**CASES[0], "findings": LONG, "deadline_ms": deadline_ms})
            assert answer.status_code in {200, 504}
            drafted = answer.json()
            if answer.status_code == 200 and drafted["stage"] != "fine":
                break
    assert drafted["stage"] == "coarse"
    assert drafted["draft"]
    assert "no fine text before the deadline" in drafted["fallback"]


async def test_an_overloaded_server_says_when_to_come_back(http: httpx.AsyncClient) -> None:
    """More requests than the queue holds get 429 with Retry-After; the others are drafted, and it recovers."""
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(base_url=http.base_url, timeout=PATIENCE_S, trust_env=False, limits=limits) as crowd:
        asked = (crowd.post("/v1/drafts", json={**CASES[n % 3], "id": str(n), "findings": LONG}) for n in range(60))
        answers = await asyncio.gather(*asked)
    refused = [a for a in answers if a.status_code == 429]
    assert refused
    assert {a.status_code for a in answers} == {200, 429}
    assert int(refused[0].headers["retry-after"]) >= 1
    assert refused[0].json()["type"] == "urn:radbridge:overloaded"
    assert (await draft(http, CASES[0]))["draft"]


async def test_a_client_that_leaves_ends_the_work(http: httpx.AsyncClient) -> None:
    """Through the running server too: when the client goes away its generation stops, and is never counted as done."""
    for headers in ({}, {"accept": "text/event-stream"}):
        async with asyncio.timeout(PATIENCE_S):
            while not await leave_midway(http, headers):  # it was done before we could leave
                pass


async def leave_midway(http: httpx.AsyncClient, headers: dict[str, str]) -> bool:
    """Leave once a draft is being generated; whether the engine never came to its end."""
    before = await idle(http)
    async with httpx.AsyncClient(base_url=http.base_url, timeout=PATIENCE_S, trust_env=False) as leaver:
        asking = asyncio.create_task(leaver.post("/v1/drafts", json={"id": "x", "findings": LONG}, headers=headers))
        while not (was_seen := bool((await engine_of(http))["running"])) and not asking.done():
            await asyncio.sleep(0.005)
        asking.cancel()
        await asyncio.wait([asking])
    return was_seen and (await idle(http))["generated"] == before["generated"]


async def idle(http: httpx.AsyncClient) -> dict[str, Any]:
    """What the server says of its engine, once nothing is under way."""
    while (told := await engine_of(http))["running"] or told["queued"]:
        await asyncio.sleep(0.01)
    return told


async def engine_of(http: httpx.AsyncClient) -> dict[str, Any]:
    """What the server says of its engine."""
    told: dict[str, Any] = (await http.get("/healthz")).json()["engine"]
    return told


async def test_a_newer_text_ends_the_older_request(http: httpx.AsyncClient) -> None:
    """Two texts for one case: the older request gets 409, the newer one its draft."""
    async with asyncio.timeout(PATIENCE_S):
        for number in count():
            asked = {"id": "1", "findings": LONG, "case": f"c{number}"}
            older = asyncio.create_task(http.post("/v1/drafts", json=asked))
            while not (await engine_of(http))["running"] and not older.done():
                await asyncio.sleep(0.005)
            assert (await draft(http, {**CASES[0], "case": f"c{number}"}))["draft"]
            answer = await older
            if answer.status_code != 200:  # else it was done before the newer one came
                break
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:radbridge:superseded"


async def test_the_requests_id_comes_back_once(http: httpx.AsyncClient) -> None:
    """An answer carries the request's own id, or one made for it, in one header."""
    answer = await http.post("/v1/drafts", json=CASES[0], headers={"x-request-id": "req-1"})
    assert answer.headers.get_list("x-request-id") == ["req-1"]
    assert len((await http.get("/healthz")).headers.get_list("x-request-id")) == 1


async def test_a_promotion_counts_from_the_next_draft_on(
    http: httpx.AsyncClient, versions: dict[str, LoraVersion]
) -> None:
    """A version promoted while the server runs writes the next draft, with no restart; the one before stays a while."""
    registry = LoraRegistry(versions["900001"].path.parents[2])
    digest = digest_weights(PACKAGED / "base")
    older, newer = (
        registry.publish(
            PACKAGED / "loras" / persona, owner_of("rad", "900007"), base_digest=digest, prompt_version=PROMPT_VERSION
        )
        for persona in ("succinct", "numbered")
    )
    registry.promote(older)
    assert (await http.post("/v1/prefetch", json={"radiologist": "900007"})).json()["lora"] == older.name
    case = {**CASES[0], "radiologist": "900007"}
    assert (await draft(http, case))["fallback"][:1] != ["no LoRA for the signer"]
    registry.promote(newer)
    await draft(http, case)
    told = {lora["name"]: lora for lora in (await http.get("/v1/loras")).json()["loras"]}
    assert (told[newer.name]["role"], told[newer.name]["resident"]) == ("champion", True)
    assert (told[older.name]["role"], told[older.name]["resident"]) == ("none", True)
    assert told[newer.name]["loads"] == 1


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        (b"", 400, "JSON"),
        (b"MSH|^~\\&|", 400, "JSON"),
        (b"[]", 422, "body"),
        (b"{}", 422, "findings: Field required"),
        (b'{"id": "1", "findings": 7}', 422, "findings"),
        (b'{"id": "1", "findings": "x", "age": "old"}', 422, "age"),
        (b'{"id": "1", "findings": "x", "deadline_ms": 0}', 422, "deadline_ms"),
        (b'{"id": "1", "findings": "\\ud800"}', 400, "JSON"),
        (b'{"id": "1", "findings": "' + b"x" * 5 * 2**20 + b'"}', 413, "limit"),
        (b"[" * 100_000, 400, "JSON"),
        (b"\x00\xff" * 50, 400, "JSON"),
    ],
    ids=["empty", "hl7", "list", "nothing", "number", "age", "deadline", "surrogate", "huge", "deep", "bytes"],
)
async def test_bad_input_is_named_and_never_a_500(
    http: httpx.AsyncClient, body: bytes, status: int, place: str
) -> None:
    """Whatever is sent, the answer is a 4xx problem that names the place and repeats nothing of the body."""
    answer = await http.post("/v1/drafts", content=body)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert place in problem["title"] + problem["detail"]
    assert "MSH" not in answer.text


async def test_no_findings_no_draft(http: httpx.AsyncClient) -> None:
    """Without findings the draft is empty and says why."""
    drafted = await draft(http, {"id": "1", "findings": " \n "})
    assert drafted["draft"] == ""
    assert drafted["fallback"] == ["no findings to draft from"]


async def test_the_coarse_text_is_streamed_first(http: httpx.AsyncClient) -> None:
    """Asked for events, the server sends the coarse text first and the draft last, the same as without."""
    events = []
    async with http.stream("POST", "/v1/drafts", json=CASES[0], headers={"accept": "text/event-stream"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((name, json.loads(line.removeprefix("data: "))))
    assert [name for name, _ in events] == ["coarse", "draft"]
    assert events[1][1]["draft"] == (await draft(http, CASES[0]))["draft"]


async def test_models_are_listed_and_unknown_ones_refused(http: httpx.AsyncClient) -> None:
    """The OpenAI-compatible side lists base, personas and radiologists' LoRAs, and answers 404 for any other."""
    names = {model["id"] for model in (await http.get("/v1/models")).json()["data"]}
    assert {"base", "persona/succinct", "rad/900001", "rad/900002"} <= names
    messages = [{"role": "user", "content": "Findings: none.\nImpression:\n"}]
    for model in ("base", "succinct", "persona/numbered", "rad/900002"):
        answer = await http.post("/v1/chat/completions", json={"model": model, "messages": messages, "max_tokens": 3})
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] <= 3
    for model in ("rad/nobody", "persona/nobody", "../../etc", ""):
        answer = await http.post("/v1/chat/completions", json={"model": model, "messages": messages})
        assert answer.status_code == 404


async def test_it_says_how_it_is(http: httpx.AsyncClient) -> None:
    """Ready and alive are 200 while it works, and an unknown path is a 404 problem."""
    assert (await http.get("/readyz")).status_code == 200
    alive = await http.get("/healthz")
    assert alive.status_code == 200
    assert alive.json()["engine"]["generated"] >= 1
    missing = await http.get("/nothing")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"


def test_a_killed_server_leaves_no_process(tmp_path: Path) -> None:
    """When the server is killed outright, none of its Ray processes outlives it, and the exit status tells."""
    running = ModelServerProcess(tmp_path, {"strategy": "coarse"})
    url = running.wait_ready()
    assert (
        httpx.post(f"{url}/v1/drafts", json=CASES[0], trust_env=False, timeout=PATIENCE_S).json()["stage"] == "coarse"
    )
    family = processes_of(running.process.pid)
    assert len(family) > 3
    os.kill(running.worker, signal.SIGKILL)
    assert running.wait_end() == 128 + signal.SIGKILL
    assert await_gone(family) == set()


def test_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    """Every fault of the file is told on standard error with its key, before anything starts."""
    running = ModelServerProcess(tmp_path, {"strategy": "magic", "max_batch": 0, "max_batsh": 3})
    assert running.wait_end() == 2
    told = (tmp_path / "log").read_text()
    for key in ("strategy", "max_batch", "max_batsh"):
        assert key in told
