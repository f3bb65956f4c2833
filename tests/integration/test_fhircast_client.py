"""Our FHIRcast client at a hub that nobody here wrote: `tests/peers/hub.mjs`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from radbridge.case import CaseKey, CaseState
from radbridge.errors import DeliveryFailed
from radbridge.journal import deliveries
from radbridge.journal.schema import DeliveryState
from radbridge.testing import FakeModel
from radbridge_adapters import fhircast
from radbridge_adapters.fhircast import publish
from radbridge_adapters.fhircast.client import HubClient
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.gateway import free_port
from tests.support.held_model import HeldModel
from tests.support.live import LiveGateway, live, make_site
from tests.support.peers import running

KEY = CaseKey(accession="A1")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is tried again at once; a hub may take its time."""
    monkeypatch.setattr("radbridge_adapters.fhircast.client._TIMEOUT_S", 60.0)
    monkeypatch.setattr("radbridge_adapters.rest.client._CONNECT_S", 60.0)
    monkeypatch.setattr("radbridge.flow.results.backoff", lambda _: 0.01)
    monkeypatch.setattr("radbridge_adapters.fhircast.client._FIRST_PAUSE_S", 0.05)


@dataclass
class ForeignHub:
    """The hub, as one of the session's applications and as its operator."""

    url: str
    http: httpx.AsyncClient

    async def act(self, what: str, **more: Any) -> dict[str, Any]:
        """Have the hub do something."""
        answer = await self.http.post(f"{self.url}/control", json={"act": what, **more})
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def open(self, accession: str = "A1", **more: Any) -> None:
        """An application opens the report."""
        await self.act("event", name="DiagnosticReport-open", context=report_context(accession), **more)

    async def share(self, text: str, id: str = "f1", **more: Any) -> None:
        """An application shares findings."""
        context = update_context(put(observation(text, id)))
        assert (await self.act("event", name="DiagnosticReport-update", context=context, **more))["status"] == 202

    async def state(self) -> dict[str, Any]:
        """What it saw."""
        found: dict[str, Any] = (await self.http.get(f"{self.url}/control")).json()
        return found

    async def until(self, condition: Callable[[dict[str, Any]], Any]) -> Any:
        """What `condition` finds in its state, waited for."""
        async with asyncio.timeout(60):
            while not (found := condition(await self.state())):
                await asyncio.sleep(0.01)
        return found

    async def draft(self, text: str) -> dict[str, Any]:
        """The draft in the content, once it says `text`."""
        found: dict[str, Any] = await self.until(
            lambda state: next((r for r in ours(state) if r["valueString"] == text), None)
        )
        return found


def ours(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The impressions in the hub's content."""
    bundle = state["context"]["context"][-1]["resource"] if state["context"]["context"] else {}
    found = [entry["resource"] for entry in bundle.get("entry", ())]
    return [r for r in found if r["id"].startswith("radbridge-")]


@asynccontextmanager
async def foreign_hub() -> AsyncIterator[ForeignHub]:
    """The hub in its own process."""
    async with running("hub.mjs") as (ready, _), httpx.AsyncClient(trust_env=False, timeout=60) as http:
        yield ForeignHub(ready["url"], http)


@asynccontextmanager
async def following(
    hub: ForeignHub, folder: Path, model: FakeModel | None = None, **more: Any
) -> AsyncIterator[LiveGateway]:
    """A gateway that follows the hub's session."""
    hubs = [{"name": "hub", "url": f"{hub.url}/", "topic": "a secret/topic", **more}]
    async with live(make_site(folder, fhircast={"hubs": hubs}), fhircast.wire, model=model) as gateway:
        [client] = [w for wire in gateway.wires for w in wire.leased if isinstance(w, HubClient)]
        await gateway.until(lambda: client.connected)
        yield gateway


def states(gateway: LiveGateway) -> list[DeliveryState]:
    """What became of the deliveries to the hub."""
    rows = gateway.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))
    return [row.state for row in rows if row.destination == "hub"]


async def test_a_foreign_hub_gets_the_draft(tmp_path: Path) -> None:
    """Findings shared at somebody else's hub come back as our draft, with its version; every event is answered 200."""
    async with foreign_hub() as hub, following(hub, tmp_path) as gateway:
        await hub.open()
        await hub.share("Clear lungs. No effusion.")
        draft = await hub.draft("Clear lungs.")
        assert draft["status"] == "preliminary"
        assert draft["meta"]["security"][0]["code"] == "AIAST"
        await gateway.until(lambda: states(gateway) == [DeliveryState.CONFIRMED])
        state = await hub.until(lambda state: state if len(state["acks"]) == 3 else None)
        assert {ack["status"] for ack in state["acks"]} == {200}
        [form] = state["forms"]
        assert form["hub.topic"] == "a secret/topic"
        query = "SELECT count(*) FROM message"
        assert gateway.journal.read_now(lambda conn: conn.exec_driver_sql(query).scalar_one()) == 2


async def test_a_report_that_is_open_already_is_caught_up_with(tmp_path: Path) -> None:
    """A gateway that subscribes late asks for the current context and drafts what it holds."""
    async with foreign_hub() as hub:
        await hub.open()
        await hub.share("Clear lungs.")
        async with following(hub, tmp_path) as gateway:
            await hub.draft("Clear lungs.")
            await hub.share("Large right effusion.", "f2")
            await gateway.until(lambda: (c := gateway.case("A1")) is not None and "effusion" in c.report.findings)
            case = gateway.case("A1")
            assert case is not None
            assert case.report.findings.split("\n") == ["Clear lungs.", "Large right effusion."]


async def test_a_gap_in_the_versions_is_closed(tmp_path: Path) -> None:
    """An update that never arrived is found by the next one's prior version, and the draft is of the whole content."""
    async with foreign_hub() as hub, following(hub, tmp_path) as gateway:
        await hub.open()
        await hub.share("Clear lungs.", quiet=True)
        await hub.share("Large right effusion.", "f2")
        await hub.until(ours)
        await gateway.until(lambda: (c := gateway.case("A1")) is not None and c.report.findings != "")
        case = gateway.case("A1")
        assert case is not None
        assert case.report.findings.split("\n") == ["Clear lungs.", "Large right effusion."]


async def test_a_conflict_is_retried_with_a_new_id_and_the_current_version(tmp_path: Path) -> None:
    """A 409 makes us ask for the context and publish again, under another event id."""
    model = HeldModel()
    async with foreign_hub() as hub, following(hub, tmp_path, model) as gateway:
        await hub.open()
        await hub.share("Clear lungs.")
        await gateway.until(lambda: model.asked)
        await hub.share("Unrelated.", "other", quiet=True)
        model.free.set()
        await hub.draft("Clear lungs.")
        first, second = [event["id"] for event in (await hub.state())["published"]][:2]
        assert second == f"{first}-1"


async def test_no_answer_is_retried_with_the_same_id(tmp_path: Path) -> None:
    """When the hub hangs up without an answer the same event id is sent again, and counts once."""
    async with foreign_hub() as hub, following(hub, tmp_path) as gateway:
        await hub.act("fail", statuses=[0])
        await hub.open()
        await hub.share("Clear lungs.")
        await gateway.until(lambda: states(gateway) == [DeliveryState.CONFIRMED])
        first, second = [event["id"] for event in (await hub.state())["published"]]
        assert first == second
        assert len(ours(await hub.state())) == 1


@pytest.mark.parametrize(
    ("statuses", "state", "tries"),
    [([503], DeliveryState.CONFIRMED, 2), ([429], DeliveryState.CONFIRMED, 2), ([400], DeliveryState.REFUSED, 1)],
)
async def test_an_error_answer_is_retried_with_a_new_id(
    tmp_path: Path, statuses: list[int], state: DeliveryState, tries: int
) -> None:
    """An answer that may be otherwise next time is retried with a new event id; one that won't be is not."""
    async with foreign_hub() as hub, following(hub, tmp_path) as gateway:
        await hub.act("fail", statuses=statuses)
        await hub.open()
        await hub.share("Clear lungs.")
        await gateway.until(lambda: states(gateway) == [state])
        assert len({event["id"] for event in (await hub.state())["published"]}) == tries


async def test_changed_findings_take_the_draft_away(tmp_path: Path) -> None:
    """Changed findings delete the draft from the hub's content and put the new one in its place."""
    async with foreign_hub() as hub, following(hub, tmp_path):
        await hub.open()
        await hub.share("Clear lungs.")
        await hub.draft("Clear lungs.")
        await hub.share("Right effusion.")
        await hub.draft("Right effusion.")
        taken = (await hub.state())["taken"]
        methods = [e["event"]["context"][-1]["resource"]["entry"][0]["request"]["method"] for e in taken]
        assert methods == ["PUT", "DELETE", "PUT"]


async def test_a_closed_report_gets_nothing(tmp_path: Path) -> None:
    """A draft whose report was closed at the hub is cancelled, not retried."""
    model = HeldModel()
    async with foreign_hub() as hub, following(hub, tmp_path, model) as gateway:
        await hub.open()
        await hub.share("Clear lungs.")
        await gateway.until(lambda: model.asked)
        await hub.act("event", name="DiagnosticReport-close", context=report_context("A1")[:1])
        await hub.until(lambda state: len(state["acks"]) == 3)
        model.free.set()
        await gateway.until(lambda: states(gateway) == [DeliveryState.CANCELLED])
        assert (await hub.state())["published"] == []


async def test_a_lease_is_renewed_in_time(tmp_path: Path) -> None:
    """Before its lease is over the subscription is renewed, on the same socket."""
    async with foreign_hub() as hub:
        await hub.act("lease", seconds=1)
        async with following(hub, tmp_path):
            forms = await hub.until(lambda state: state["forms"] if len(state["forms"]) > 1 else None)
            assert "hub.channel.endpoint" not in forms[0]
            assert "hub.channel.endpoint" in forms[1]


@pytest.mark.parametrize("how", ["drop", "deny"])
async def test_a_lost_subscription_is_made_anew(tmp_path: Path, how: str) -> None:
    """A socket that breaks, or a denial, is followed by a new subscription; what was missed is caught up with."""
    async with foreign_hub() as hub, following(hub, tmp_path):
        await hub.act(how)
        await hub.open()
        await hub.share("Clear lungs.")
        await hub.draft("Clear lungs.")
        assert len((await hub.state())["forms"]) == 2


async def test_what_a_hub_sends_amiss_harms_nothing(tmp_path: Path) -> None:
    """Messages that are no events are passed over, and the session goes on."""
    async with foreign_hub() as hub, following(hub, tmp_path):
        amiss: list[Any] = [{}, [], "x", {"event": {}}, {"id": "1", "timestamp": "x", "event": {"hub.event": "a"}}]
        for message in amiss:
            await hub.act("send", message=message)
        await hub.open()
        await hub.share("Clear lungs.")
        await hub.draft("Clear lungs.")


async def test_a_sign_off_at_the_hub_signs_the_case(tmp_path: Path) -> None:
    """A report told to be final at the hub signs the case, and its draft is taken away."""
    async with foreign_hub() as hub, following(hub, tmp_path) as gateway:
        await hub.open()
        await hub.share("Clear lungs.")
        await hub.draft("Clear lungs.")
        signed = {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "conclusion": "Normal."}
        await hub.act("event", name="DiagnosticReport-update", context=update_context(put(signed)))
        await gateway.until(lambda: (c := gateway.case("A1")) is not None and c.state is CaseState.SIGNED)
        await hub.until(lambda state: not ours(state))


async def test_a_draft_that_was_not_followed_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a SyncError for our event, which isn't in the content, it is sent again later with its own timestamp."""
    monkeypatch.setattr(publish, "RESEND_S", 0.1)
    async with foreign_hub() as hub, following(hub, tmp_path) as gateway:
        await hub.act("fail", statuses=[202])
        await hub.open()
        await hub.share("Clear lungs.")
        await gateway.until(lambda: states(gateway) == [DeliveryState.CONFIRMED])
        [lost] = (await hub.state())["published"]
        coding = [{"system": "https://fhircast.hl7.org/events/syncerror/eventid", "code": lost["id"]}]
        outcome = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "warning", "details": {"coding": coding}}],
        }
        await hub.act("event", name="SyncError", context=[{"key": "operationoutcome", "resource": outcome}])
        await hub.draft("Clear lungs.")
        again = (await hub.state())["published"][1]
        assert (again["timestamp"], again["id"]) == (lost["timestamp"], f"{lost['id']}-1")


async def test_a_ping_asks_the_hub(tmp_path: Path) -> None:
    """`radbridge check` learns whether a hub answers."""
    async with foreign_hub() as hub, following(hub, tmp_path) as gateway:
        [sink] = [sink for wire in gateway.wires for sink in wire.sinks if sink.name == "hub"]
        await sink.ping()
    gone = [{"name": "hub", "url": f"http://127.0.0.1:{free_port()}", "topic": "t"}]
    async with live(make_site(tmp_path, fhircast={"hubs": gone}), fhircast.wire) as gateway:
        [sink] = [sink for wire in gateway.wires for sink in wire.sinks if sink.name == "hub"]
        with pytest.raises(DeliveryFailed):
            await sink.ping()
        assert (await gateway.readiness())["journal"]
