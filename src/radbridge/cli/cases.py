"""`radbridge cases` and `radbridge show ACCESSION`: what the journal knows. They show PHI, on the terminal only."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection, select

from radbridge.audit import Note, What
from radbridge.case import Case
from radbridge.cli.common import ConfigOption, add_row, clock, err, noted, of_cases, out, plain, reading, site_of, told
from radbridge.contradictions import find_contradictions
from radbridge.draft import DraftImpression, DraftState
from radbridge.journal import cases, deliveries, drafts, edits, memory, shown
from radbridge.journal.schema import messages
from radbridge.memory import number_of

BLOCKED = (
    "It went to no destination: the radiologist dictates as without it, and a changed text gets a new draft. "
    'Where the guard is wrong, let the kind travel: `[guard.policy]`, such as laterality = "flag".'
)


def list_cases(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, the last touched first.")] = 30,
) -> None:
    """List the cases touched last.

    Example: [cyan]radbridge cases --config site.toml --limit 10[/]
    """
    with told():
        site = site_of(config)
        table = Table("accession", "state", "modality", "procedure", "signer", "draft", "deliveries", "updated (UTC)")
        with reading(site, noted(What.SEARCHED, "cases"), seen=lambda conn: _listed(conn, limit)) as conn:
            found = cases.recent(conn, limit)
            for case, updated in found:
                add_row(table, *_row(conn, case), f"{updated:%Y-%m-%d %H:%M:%S}")
    out.print(table if found else "no case yet")


def _listed(conn: Connection, limit: int) -> list[Note]:
    found = [case for case, _ in cases.recent(conn, limit)]
    return of_cases(noted(What.VIEWED, "cases"), found) if found else []


def _row(conn: Connection, case: Case) -> list[str]:
    made = drafts.of_case(conn, case.key)
    sent = deliveries.of_case(conn, case.key)
    return [
        case.key.accession,
        case.state,
        case.study.modality,
        case.order.procedure.display,
        case.signer.name or case.signer.id,
        f"{made[-1].state} ({made[-1].draft.stage})" if made else "-",
        ", ".join(f"{d.destination}: {d.state}" for d in sent[-2:]) or "-",
    ]


def show(
    accession: Annotated[str, typer.Argument(help="The accession number.")],
    config: ConfigOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="Print the messages' text too.")] = False,
) -> None:
    """Show one case: its messages, drafts, deliveries, edits, and what was told of its drafts.

    Example: [cyan]radbridge show A100001 --config site.toml[/]
    """
    with told():
        site = site_of(config)
        note = noted(What.VIEWED, "show", accession=accession)
        with reading(site, seen=lambda conn: of_cases(note, cases.by_accession(conn, accession))) as conn:
            _show_messages(conn, accession, raw=raw)
            found = cases.by_accession(conn, accession)
            for case in found:
                _show_case(case)
                _show_drafts(conn, case)
                _show_edits(conn, case)
    if not found:
        err.print(plain(f"no case with accession {accession}; `radbridge cases` lists those there are"))
        raise typer.Exit(1)


def _show_messages(conn: Connection, accession: str, *, raw: bool) -> None:
    table = Table("id", "received (UTC)", "from", "type", "state", "reason", title="messages", title_justify="left")
    rows = conn.execute(select(messages).where(messages.c.accession == accession).order_by(messages.c.id)).all()
    for row in rows:
        note = row.reason or ("control id used before with other bytes" if row.reused_id else "")
        add_row(table, str(row.id), clock(row.received_at), row.peer, row.kind, row.state, note)
    out.print(table)
    if raw:
        for row in rows:
            text = row.raw.decode("utf-8", "replace").replace("\r", "\n").strip()
            if "\0" in text:
                text = f"{row.size} bytes that are no text"
            out.print(Panel(plain(text), title=f"message {row.id}", title_align="left"))


def _show_case(case: Case) -> None:
    age = "" if case.age is None else str(case.age)
    lines = {
        "state": case.state,
        "patient": " ".join(w for w in (case.patient.id, case.patient.name, case.patient.sex, age) if w),
        "procedure": f"{case.order.procedure.value} {case.order.procedure.display}",
        "study": " ".join(w for w in (case.study.modality, case.study.body_part, case.study.laterality) if w),
        "images": ", ".join(" ".join(w for w in (t.description or t.modality, t.step) if w) for t in case.told),
        "contradiction": "; ".join(c.message for c in find_contradictions(case)),
        "signer": f"{case.signer.id} {case.signer.name}",
        "indication": case.indication,
        "comparison": case.compared_with,
        "concluded before": case.concluded_before,
        "findings": case.report.findings,
        "impression": case.report.impression,
    }
    body = Text("\n").join(Text.assemble((f"{k}: ", "bold"), plain(v)) for k, v in lines.items() if v.strip())
    out.print(Panel(body, title=plain(f"case {case.key.accession}"), title_align="left"))
    if case.measured:
        said = Text("\n").join(plain(m.line) for m in case.measured)
        out.print(Panel(said, title="measured by machines", title_align="left"))


def _show_drafts(conn: Connection, case: Case) -> None:
    for stored in drafts.of_case(conn, case.key):
        draft = stored.draft
        head = f"draft {draft.id} · {stored.state}{': ' + stored.reason if stored.reason else ''}"
        body = plain(draft.text or "(no text)")
        where = f"\n{clock(draft.made_at)} · {draft.stage} · {draft.lora or 'no LoRA'} · {draft.model}"
        body.append_text(plain(where, "dim"))
        if draft.asked not in {"", draft.lora}:
            body.append_text(plain(f"\nasked, and not used: {draft.asked}", "dim"))
        if draft.memory:
            body.append_text(plain(f"\n{_tell_memory(conn, draft)}", "dim"))
        for flag in draft.flags:
            body.append_text(plain(f"\n{flag.severity} {flag.kind}: {flag.message}", "yellow"))
        if stored.state is DraftState.BLOCKED:
            body.append_text(plain(f"\n{BLOCKED}", "bold"))
        for reason in draft.fallback:
            body.append_text(plain(f"\nfallback: {reason}", "dim"))
        for said in shown.of_draft(conn, draft.id):
            why = f" ({said.reason_code})" if said.reason_code else ""
            body.append_text(plain(f"\n{said.outcome}{why} · {said.source} · {clock(said.at)}", "cyan"))
        out.print(Panel(body, title=plain(head), title_align="left"))
    table = Table(
        "control id",
        "to",
        "what",
        "state",
        "attempts",
        "answer",
        "confirmed (UTC)",
        title="deliveries",
        title_justify="left",
    )
    for d in deliveries.of_case(conn, case.key):
        done = clock(d.confirmed_at) if d.confirmed_at else ""
        add_row(table, d.control_id, d.destination, d.purpose, d.state, str(d.attempts), d.answer, done)
    out.print(table)


def _tell_memory(conn: Connection, draft: DraftImpression) -> str:
    """The reports that a draft was written beside, by their accessions as far as they are still remembered."""
    numbers = [number_of(name) for name in draft.examples]
    found = memory.load(conn, [n for n in numbers if n is not None])
    told = [found[n][0].accession if n in found else "(left the memory)" for n in numbers]
    count = f"{len(told)} example{'' if len(told) == 1 else 's'}"
    return f"memory {draft.memory}: {count}{': ' + ', '.join(told) if told else ''}"


def _show_edits(conn: Connection, case: Case) -> None:
    for edit, state in edits.of_case(conn, case.key):
        body = f"{edit.outcome}, edit distance {edit.distance:.2f}, {state}\n{edit.signed}"
        out.print(Panel(plain(body), title=f"signed over draft {edit.draft_id}", title_align="left"))
