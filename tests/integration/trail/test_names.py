"""Names of different sources are told apart in the trail by their form: nobody is taken for somebody else."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from radbridge.access import OURS, Actor, Role, check_name
from radbridge.audit import What
from radbridge.journal import audit
from radbridge_adapters import cdshooks, fhir
from tests.support import people
from tests.support.cds import REPORT_DRAFT, draft_call
from tests.support.http_peer import answer, run_peer
from tests.support.live import LiveGateway, live, make_site
from tests.support.smart import es384


@pytest.mark.parametrize("via", ["api_key", "certificate", "smart", "issuer"])
def test_no_account_has_the_name_of_anything_else(via: str) -> None:
    """What a key, a certificate, a client or an issuer is called can be no account's name, and no two are alike."""
    actor = Actor(name="alice", kind="system", via=via)
    with pytest.raises(ValueError, match="letters, digits"):
        check_name(actor.known_as)
    others = {Actor(name="alice", kind="system", via=other).known_as for other in ("password", "oidc", "console")}
    assert others == {"alice"}
    assert check_name("alice") == "alice"


def test_ours_are_nobodys() -> None:
    """What RadBridge calls itself where it acts by itself can't be an account."""
    for name in OURS:
        with pytest.raises(ValueError, match="calls something else"):
            check_name(name)


async def test_who_saw_a_draft_is_told_apart(url: str, tmp_path: Path) -> None:
    """An account, its key and an issuer that is called like it look at the same: three names stand in the trail."""
    ehr = es384("alice")
    async with run_peer({"/ehr": answer(200, ehr.jwks)}) as keys:
        issuers = {"client_issuers": {"alice": f"{keys.url}/ehr"}, "deadline_s": 60.0}
        site = make_site(tmp_path, store={"url": url}, cdshooks=issuers, access={"required": True})
        async with (
            live(site, cdshooks.wire, fhir.wire) as gateway,
            httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
        ):
            await people.add(gateway, "alice", Role.VIEWER)
            key = await people.key(gateway, Role.VIEWER, account="alice")
            answered = await http.post("/auth/login", json={"name": "alice", "password": people.PASSWORD})
            session = {"x-csrf-token": answered.json()["csrf"], "origin": gateway.base}
            token = ehr.sign(f"{gateway.base}{REPORT_DRAFT}", sub=None)
            for headers in (session, people.bearer(key), people.bearer(token)):
                said = await http.post(REPORT_DRAFT, json=draft_call(), headers=headers)
                assert (said.status_code, len(said.json()["cards"])) == (200, 1), said.text
                http.cookies.clear()
            await gateway.until(lambda: len(seen_by(gateway)) == 3)
            assert seen_by(gateway) == ["alice", "key:alice", "issuer:alice"]


def seen_by(gateway: LiveGateway) -> list[str]:
    notes = [event.note for event in gateway.journal.read_now(audit.chained)]
    return [note.actor for note in notes if note.what is What.VIEWED and note.via == "cdshooks"]
