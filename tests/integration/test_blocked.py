"""What the site's policy does to drafts on their way through journal, drafter and courier."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from structlog.testing import capture_logs

from radbridge.case import CaseKey
from radbridge.config import Action
from radbridge.contract import RESPONSE, DraftRequest, DraftResponse
from radbridge.draft import DraftState, Flag, FlagKind, Section, Severity, Span, StoredDraft
from radbridge.edit import Edit, Outcome
from radbridge.guard import check_draft
from radbridge.guard.policy import GuardPolicy
from radbridge.journal import deliveries, drafts, edits
from radbridge.journal.schema import drafts as draft_table
from radbridge.testing import FakeModel
from tests.support.flow import KEY, FlaggingModel, Flow, running

WRONG_SIDE = Flag(
    kind=FlagKind.LATERALITY,
    message="the findings say right",
    severity=Severity.CRITICAL,
    spans=(Span(section=Section.DRAFT, start=0, end=4),),
)
DOUBT = Flag(kind=FlagKind.CERTAINTY, message="the findings say possible")


def wrong_when_left(findings: str) -> tuple[Flag, ...]:
    return (DOUBT, WRONG_SIDE) if findings.startswith("Left") else (DOUBT,)


def deliveries_of(flow: Flow, key: CaseKey = KEY) -> Sequence[deliveries.Delivery]:
    return flow.journal.read_now(lambda conn: deliveries.of_case(conn, key))


def edit_of(flow: Flow) -> Edit:
    [(edit, _)] = flow.journal.read_now(lambda conn: edits.of_case(conn, KEY))
    return edit


async def test_a_blocked_draft_goes_nowhere(tmp_path: Path) -> None:
    """A draft with a blocking flag is kept with its flags and the reason, is counted and logged, and is never sent."""
    with capture_logs() as logged:
        async with running(tmp_path, FlaggingModel(wrong_when_left)) as flow:
            await flow.say(dictate="Left effusion. More.")
            await flow.until(flow.states)
            [stored] = flow.journal.read_now(lambda conn: drafts.of_case(conn, KEY))
            assert (stored.state, stored.reason) == (DraftState.BLOCKED, "kept back by the guard: laterality")
            assert (stored.draft.text, stored.draft.flags) == ("Left effusion.", (WRONG_SIDE, DOUBT))
            await flow.say(accession="A2", dictate="Right effusion. More.")
            await flow.until(flow.delivered)
            assert flow.delivered() == ["draft A2 Right effusion."]
            assert deliveries_of(flow) == []
            page = flow.metrics.page().decode()
    assert 'radbridge_drafts_total{outcome="blocked"} 1.0' in page
    assert 'radbridge_flags_total{action="block",kind="laterality"} 1.0' in page
    assert 'radbridge_flags_total{action="flag",kind="certainty"} 2.0' in page
    [told] = [line for line in logged if line["event"] == "draft kept back"]
    assert told["reason"] == "kept back by the guard: laterality"
    assert "ffusion" not in repr(logged)


class Swapping(FakeModel):
    """Somebody else's model server: no guard of its own, and every side the wrong one."""

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The first sentence on the other side."""
        answer = await super().draft(request)
        return replace(answer, draft=f"  {answer.draft}".replace("Left", "Right"))


async def test_a_draft_is_held_to_its_case_whoever_wrote_it(tmp_path: Path) -> None:
    """A server that flags nothing is not believed: the gateway's own guard blocks, and its spans fit what is stored."""
    async with running(tmp_path, Swapping()) as flow:
        await flow.say(dictate="Left effusion. More.")
        await flow.until(flow.states)
        [stored] = flow.journal.read_now(lambda conn: drafts.of_case(conn, KEY))
        assert (stored.state, stored.reason) == (DraftState.BLOCKED, "kept back by the guard: laterality")
        [flag] = stored.draft.flags
        assert stored.draft.text[flag.spans[0].start : flag.spans[0].end] == "Right"
        assert deliveries_of(flow) == []


async def test_what_both_guards_find_is_told_once(tmp_path: Path) -> None:
    """A server with the same guard repeats what the gateway finds; the reader gets it once."""

    class Guarding(Swapping):
        async def draft(self, request: DraftRequest) -> DraftResponse:
            answer = await super().draft(request)
            return replace(answer, flags=check_draft(answer.draft, request.findings))

    async with running(tmp_path, Guarding()) as flow:
        await flow.say(dictate="Left effusion. More.")
        await flow.until(flow.states)
        [stored] = flow.journal.read_now(lambda conn: drafts.of_case(conn, KEY))
        assert [flag.kind for flag in stored.draft.flags] == [FlagKind.LATERALITY]


def test_a_newer_servers_sections_and_kinds_are_read() -> None:
    """An answer whose flags point into a text that this version doesn't know is no broken answer."""
    span = {"section": "technique", "start": 0, "end": 4}
    flags = [{"kind": "contrast", "message": "m", "spans": [span]}]
    body = {"id": "1", "draft": "x", "lora": "base", "model": "m", "base_digest": "", "prompt_version": "1"}
    answer = RESPONSE.validate_python({**body, "stage": "fine", "ms": 1.0, "flags": flags})
    assert [flag.spans for flag in answer.flags] == [(Span(section="technique", start=0, end=4),)]


async def test_the_draft_before_a_blocked_one_is_withdrawn(tmp_path: Path) -> None:
    """What a sink has got goes stale with its findings, also where the new text's draft is blocked (rule 3)."""
    async with running(tmp_path, FlaggingModel(wrong_when_left)) as flow:
        await flow.say(dictate="Right effusion. More.")
        await flow.until(flow.delivered)
        await flow.say(dictate="Left effusion. More.")
        await flow.until(lambda: len(flow.states()) == 2 and len(flow.delivered()) == 2)
        assert flow.delivered() == ["draft A1 Right effusion.", "withdrawal A1 Right effusion."]
        assert flow.states() == [DraftState.WITHDRAWN, DraftState.BLOCKED]


async def test_a_new_text_gets_a_new_draft(tmp_path: Path) -> None:
    """A blocked draft stands in nobody's way: the next save is drafted and delivered, with nothing to take back."""
    async with running(tmp_path, FlaggingModel(wrong_when_left)) as flow:
        await flow.say(dictate="Left effusion. More.")
        await flow.until(flow.states)
        assert [d.key for d in flow.journal.read_now(lambda conn: drafts.blocked(conn, 9))] == [KEY]
        await flow.say(dictate="Right effusion. More.")
        await flow.until(flow.delivered)
        assert flow.delivered() == ["draft A1 Right effusion."]
        assert flow.journal.read_now(lambda conn: drafts.blocked(conn, 9)) == []


async def test_nobody_edited_a_blocked_draft(tmp_path: Path) -> None:
    """Signed over, a blocked draft makes an edit that says so, even with the same words, and a correction does too."""
    async with running(tmp_path, FlaggingModel(wrong_when_left)) as flow:
        await flow.say(dictate="Left effusion. More.")
        await flow.until(flow.states)
        await flow.say(sign="Left effusion.")
        await flow.until(flow.applied)
        assert (edit_of(flow).outcome, edit_of(flow).delivered) == (Outcome.BLOCKED, False)
        assert (edit_of(flow).draft, edit_of(flow).signed) == ("Left effusion.", "Left effusion.")
        assert flow.journal.read_now(lambda conn: drafts.blocked(conn, 9)) == []
        await flow.say(sign="Right effusion.")
        await flow.until(lambda: edit_of(flow).signed == "Right effusion.")
        assert edit_of(flow).outcome is Outcome.BLOCKED
        assert flow.delivered() == []


async def test_the_patients_own_number_blocks(tmp_path: Path) -> None:
    """The gateway knows whose case it is: a draft with the patient's record number is kept back."""
    async with running(tmp_path) as flow:
        await flow.say(dictate="Effusion of 900001. More.")
        await flow.until(flow.states)
        [stored] = flow.journal.read_now(lambda conn: drafts.of_case(conn, KEY))
        assert (stored.state, stored.reason) == (DraftState.BLOCKED, "kept back by the guard: identifier")
        [span] = stored.draft.flags[0].spans
        assert stored.draft.text[span.start : span.end] == "900001"


class Mute(FlaggingModel):
    """Has flags and no text."""

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """An empty draft."""
        return replace(await super().draft(request), draft=" ")


async def test_a_draft_without_text_is_none(tmp_path: Path) -> None:
    """Where there is no text there is nothing to block, whatever its flags."""
    async with running(tmp_path, Mute(wrong_when_left)) as flow:
        await flow.say(dictate="Left effusion. More.")
        await flow.until(flow.states)
        assert flow.states() == [DraftState.NONE]


async def test_a_draft_of_before_has_no_spans(tmp_path: Path) -> None:
    """A draft that an older version stored, and an older server's answer, are read: their flags have no spans."""
    async with running(tmp_path, FlaggingModel(wrong_when_left)) as flow:
        await flow.say(dictate="Left effusion. More.")
        await flow.until(flow.states)
        [stored] = flow.journal.read_now(lambda conn: drafts.of_case(conn, KEY))

        def age(conn: Connection, items: Sequence[None]) -> list[None]:
            row = conn.execute(draft_table.select()).one()
            document = row.document.replace(b',"spans":[{"section":"draft","start":0,"end":4}]', b"")
            document = document.replace(b',"spans":[]', b"")
            assert b"spans" not in document
            conn.execute(draft_table.update().values(document=document))
            return [None] * len(items)

        await flow.journal.write(age, None)
        [aged] = flow.journal.read_now(lambda conn: drafts.of_case(conn, KEY))
        assert aged.draft.flags == tuple(replace(flag, spans=()) for flag in stored.draft.flags)
    answer = RESPONSE.validate_python(
        {
            "id": "D1",
            "draft": "x",
            "lora": "base",
            "model": "m",
            "base_digest": "b",
            "prompt_version": "p1",
            "stage": "coarse",
            "ms": 1,
            "flags": [{"kind": "of_a_newer_server", "message": "m", "severity": "info"}],
        }
    )
    assert answer.flags == (Flag(kind="of_a_newer_server", message="m", severity=Severity.INFO),)


_FLAGS = st.lists(
    st.builds(
        Flag,
        kind=st.sampled_from([*FlagKind, "newer"]),
        message=st.just("made up"),
        severity=st.sampled_from(Severity),
    ),
    min_size=1,
    max_size=3,
    unique=True,
).map(tuple)
_SITES = st.fixed_dictionaries(
    {kind: st.dictionaries(st.sampled_from(Severity), st.sampled_from(Action)) for kind in FlagKind}
)


@settings(max_examples=5, deadline=None, phases=[Phase.generate])  # each a whole flow: shrinking would take minutes
@given(site=_SITES, found=st.lists(_FLAGS, min_size=3, max_size=12))
def test_what_the_policy_says_is_what_leaves(
    tmp_path_factory: pytest.TempPathFactory,
    site: dict[FlagKind, dict[Severity, Action]],
    found: list[tuple[Flag, ...]],
) -> None:
    """Whatever flags and policy: a blocking flag never reaches the outbox, and an ignored one never travels."""
    policy = GuardPolicy(site=site)
    by_text = {f"Effusion {'x' * (n + 1)}. More.": flags for n, flags in enumerate(found)}

    async def play() -> None:
        async with running(tmp_path_factory.mktemp("flow"), FlaggingModel(by_text.__getitem__), policy=policy) as flow:
            keys = [CaseKey(accession=f"A{n}") for n in range(len(found))]
            for key, text in zip(keys, by_text, strict=True):
                await flow.say(accession=key.accession, dictate=text)

            def stored(key: CaseKey) -> list[StoredDraft]:
                return flow.journal.read_now(lambda conn: drafts.of_case(conn, key))

            await flow.until(lambda: all(stored(key) for key in keys))
            for key, flags in zip(keys, found, strict=True):
                actions = [policy.action_of(flag) for flag in flags]
                assert bool(deliveries_of(flow, key)) == (Action.BLOCK not in actions)
                kept = {flag for flag, action in zip(flags, actions, strict=True) if action is not Action.IGNORE}
                assert set(stored(key)[0].draft.flags) == kept

    asyncio.run(play())
