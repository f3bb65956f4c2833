"""The HTTP interface over real sockets: clients that leave, save again, come too many at once, or too slowly."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Request

from radbridge.registry import LoraRegistry
from radbridge_model_server.drafts.pace import Pace
from radbridge_model_server.web import api
from radbridge_model_server.web.reception import read_body
from tests.support.registry import OWNER, publish_new
from tests.support.serving import FINDINGS, Clock, captured_logs, echo, eventually, make_service, serve

LONG_S = 60.0
CASE: dict[str, Any] = {"id": "d1", "findings": FINDINGS, "radiologist": "900001"}
EVENTS = {"accept": "text/event-stream"}


async def read_events(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """(name, data) of each event."""
    events, name = [], ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            events.append((name, json.loads(line.removeprefix("data: "))))
    return events


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["json", "events"])
@pytest.mark.parametrize("strategy", ["coarse_to_fine", "single"])
async def test_work_ends_when_the_client_leaves(headers: dict[str, str], strategy: str) -> None:
    """A client that closes its connection ends the generation, whichever way it asked."""
    engine = echo(delay_s=LONG_S)
    service = make_service(engine, strategy=strategy)
    async with serve(service) as http:
        leaving = asyncio.create_task(http.post("/v1/drafts", json=CASE, headers=headers))
        await eventually(lambda: engine.stats().running == 1)
        leaving.cancel()
        await eventually(lambda: engine.stats().running == 0 and service.desk.under_way == 0)
        assert engine.stats().generated == 0


async def test_a_newer_text_ends_the_older_request_with_409() -> None:
    """A request for a case ends the older one for it, whose answer is 409 `superseded`; as events, a `problem`."""
    engine = echo(delay_s=LONG_S)
    async with serve(make_service(engine)) as http:
        for headers in ({}, EVENTS):
            older = asyncio.create_task(http.post("/v1/drafts", json=CASE | {"case": "c1"}, headers=headers))
            await eventually(lambda: engine.stats().running == 1)
            newer = asyncio.create_task(
                http.post("/v1/drafts", json=CASE | {"case": "c1", "findings": f"{FINDINGS} Cough."})
            )
            answer = await older
            if headers:
                assert [name for name, _ in await read_events(answer)] == ["coarse", "problem"]
            else:
                assert answer.status_code == 409
                assert answer.headers["content-type"] == "application/problem+json"
            assert "urn:radbridge:superseded" in answer.text
            newer.cancel()
            await eventually(lambda: engine.stats().running == 0)


async def test_a_burst_of_saves_is_one_generation() -> None:
    """The same text saved five times while it is drafted is generated once, and answered five times."""
    hold = asyncio.Event()
    engine = echo(hold=hold)
    async with serve(make_service(engine)) as http:
        first = asyncio.create_task(http.post("/v1/drafts", json=CASE | {"case": "c1", "id": "d0"}))
        await eventually(lambda: engine.stats().running == 1)
        begun: list[str] = []
        later = [asyncio.create_task(_stream(http, f"d{n}", begun)) for n in range(1, 5)]
        await eventually(lambda: len(begun) == 4)
        hold.set()
        answers = [(await first).json(), *[(await task)[-1][1] for task in later]]
    assert [answer["id"] for answer in answers] == [f"d{n}" for n in range(5)]
    assert engine.stats().generated == 1


async def _stream(http: httpx.AsyncClient, id: str, begun: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """The events of one request, which `begun` tells when the first one is there."""
    asked = CASE | {"case": "c1", "id": id}
    async with http.stream("POST", "/v1/drafts", json=asked, headers=EVENTS) as answer:
        begun.append(id)
        return await read_events(answer)


async def test_a_whole_text_is_streamed_as_it_grows() -> None:
    """`coarse` first, then pieces that joined are the draft's text, then the draft, the same as without events."""
    said = "There is a 12 mm nodule, which needs a follow-up."
    async with serve(make_service(echo(say=lambda _: said, word_s=0.01), strategy="single")) as http:
        async with http.stream("POST", "/v1/drafts", json=CASE, headers=EVENTS) as answer:
            events = await read_events(answer)
        plain = (await http.post("/v1/drafts", json=CASE)).json()
    names = [name for name, _ in events]
    assert names[0] == "coarse"
    assert names[1:-1] == ["text"] * (len(names) - 2)
    assert len(names) > 5
    assert names[-1] == "draft"
    assert "".join(data["text"] for name, data in events if name == "text").strip() == said
    assert events[-1][1]["draft"] == plain["draft"] == said


async def test_what_fails_before_the_first_event_has_its_own_status() -> None:
    """Asked for events, a deadline that passes before any text is still a 504."""
    async with serve(make_service(echo())) as http:
        answer = await http.post(
            "/v1/drafts", json=CASE | {"findings": FINDINGS * 400, "deadline_ms": 1}, headers=EVENTS
        )
    assert answer.status_code == 504


async def test_retry_after_grows_with_the_queue() -> None:
    """Who is turned away is told to come back when what waits will be written, at the pace of late."""
    hold, clock = asyncio.Event(), Clock()
    engine = echo(hold=hold, max_batch=1, max_queue=12)
    service = make_service(engine, deadline_s=600)
    service.pace = Pace(clock)
    hold.set()
    async with serve(service) as http:
        for n in range(3):
            service.pace.note(engine.stats())
            assert (await http.post("/v1/drafts", json=CASE | {"id": f"warm{n}"})).status_code == 200
            clock.now += 0.3
        hold.clear()
        asking = [asyncio.create_task(http.post("/v1/drafts", json=CASE | {"id": f"d{n}"})) for n in range(20)]
        await eventually(lambda: sum(task.done() for task in asking) == 8)
        hold.set()
        answers = await asyncio.gather(*asking)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 8
    assert {answer.status_code for answer in answers} == {200, 429}
    assert {answer.headers["retry-after"] for answer in refused} == {"4"}  # 12 wait, three were written in 0.9 s


async def test_a_body_that_comes_too_slowly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that trickles its body is told 408 after the server's deadline, and what it took counts as waiting."""
    async with serve(make_service(echo(), deadline_s=0.3)) as http:
        reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
        writer.write(b"POST /v1/drafts HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        assert b" 408 " in await reader.readline()
        writer.close()
    reading = asyncio.Event()

    async def read(request: Request, **limits: Any) -> bytes:
        reading.set()
        return await read_body(request, **limits)

    monkeypatch.setattr(api, "read_body", read)

    async def trickle() -> Any:
        body = json.dumps(CASE | {"deadline_ms": 200}).encode()
        yield body[:10]
        await reading.wait()
        await asyncio.sleep(0.3)
        yield body[10:]

    async with serve(make_service(echo())) as http:
        assert (await http.post("/v1/drafts", content=trickle())).status_code == 504


async def test_prefetch_answers_at_once(tmp_path: Path) -> None:
    """Prefetch is 202 with the version that will draft, before it is loaded; a bad body is a 4xx like any other."""
    registry = LoraRegistry(tmp_path / "registry")
    version = publish_new(registry, tmp_path, b"1")
    registry.promote(version)
    loading = asyncio.Event()

    async def load(_: Any) -> None:
        await loading.wait()

    engine = echo(load=load)
    async with serve(make_service(engine, registry)) as http:
        answer = await http.post("/v1/prefetch", json={"radiologist": "900001"})
        assert answer.status_code == 202
        assert answer.json() == {"lora": version.name, "resident": False}
        loading.set()
        await eventually(lambda: version.name in engine.stats().loras)
        assert (await http.post("/v1/prefetch", json={"radiologist": "900001"})).json()["resident"]
        assert (await http.post("/v1/prefetch", json={})).status_code == 422
        told = (await http.get("/v1/loras")).json()["loras"]
    assert [(lora["name"], lora["role"], lora["resident"], lora["number"]) for lora in told] == [
        (version.name, "champion", True, version.number)
    ]


async def test_every_log_line_of_a_request_has_its_id(tmp_path: Path) -> None:
    """An id given as a header is in every log line that the request causes, and on its answer; a draft has one line."""
    with captured_logs("debug") as logged:
        registry = LoraRegistry(tmp_path / "registry")
        registry.promote(publish_new(registry, tmp_path, b"1"))
        async with serve(make_service(echo(), registry)) as http:
            ids = ["req-1", "req-2"]
            for id in ids:
                answer = await http.post("/v1/drafts", json=CASE, headers={"x-request-id": id})
                assert answer.headers["x-request-id"] == id
            for bad in ("DOE^JANE 900001", "x" * 65, ""):
                answer = await http.post("/v1/drafts", json=CASE, headers={"x-request-id": bad})
                assert bad not in answer.headers["x-request-id"] or not bad
                assert len(answer.headers["x-request-id"]) == 32
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    drafted = [line for line in lines if line["event"] == "drafted"]
    assert [line["request_id"] for line in drafted[:2]] == ids
    assert len(drafted) == 5
    assert {line["stage"] for line in drafted} == {"fine"}
    assert drafted[0]["lora"].startswith(f"{OWNER}@v1-")
    assert [line["request_id"] for line in lines if line["event"] == "LoRA loaded"] == ["req-1"]
    assert "nodule" not in logged.getvalue()


async def test_a_log_line_names_a_draft_only_by_an_id_of_ours() -> None:
    """The gateway's own ids are logged; any other may be an accession number, and isn't."""
    ours, foreign = "D0123456789abcdef", "ACC0004711"
    with captured_logs("debug") as logged:
        async with serve(make_service(echo())) as http:
            for id in (ours, foreign):
                assert (await http.post("/v1/drafts", json={**CASE, "id": id})).json()["id"] == id
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert [line["draft_id"] for line in lines if line["event"] == "drafted"] == [ours, ""]
    assert foreign not in logged.getvalue()


async def test_metrics_tell_what_was_answered() -> None:
    """Drafts by stage, problems by kind and the engine's own counts are on one page, without a word of any report."""
    async with serve(make_service(echo())) as http:
        await http.post("/v1/drafts", json=CASE)
        await http.post("/v1/drafts", content=b"{")
        page = (await http.get("/metrics")).text
    assert 'radbridge_model_drafts_total{stage="fine"} 1.0' in page
    assert 'radbridge_model_problems_total{problem="not-json"} 1.0' in page
    assert "radbridge_engine_prompts_total 1.0" in page
    assert "radbridge_lora" not in page.replace("# HELP radbridge_lora", "").replace("# TYPE radbridge_lora", "")
    assert "nodule" not in page


async def test_who_hangs_up_does_not_show_as_an_error() -> None:
    """A client that leaves is no failure of the server's: nothing is logged as one."""
    with captured_logs("warning") as logged:
        engine = echo(delay_s=LONG_S)
        async with serve(make_service(engine)) as http:
            for _ in range(3):
                leaving = asyncio.create_task(http.post("/v1/drafts", json=CASE))
                await eventually(lambda: engine.stats().running == 1)
                leaving.cancel()
                await eventually(lambda: engine.stats().running == 0)
    assert logged.getvalue() == ""
