"""What the demo prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from radbridge.edit import Change, diff_words
from radbridge_adapters.demo.dictation import Arrival
from radbridge_adapters.demo.play import Played, Step

_MARKS = {Change.KEEP: ("", ""), Change.DELETE: ("[-", "-]"), Change.INSERT: ("{+", "+}")}  # as `git diff --word-diff`
_STYLES = {Change.KEEP: "", Change.DELETE: "red strike", Change.INSERT: "bold green"}


def show_case(played: Played, *, colour: bool) -> RenderableType:
    """A whole case: who and what, the timeline, the draft, and the signed text as a diff of it."""
    parts: list[RenderableType] = [_show_study(played), show_timeline(played.steps)]
    if played.draft is not None:
        parts.append(show_arrival(played.draft))
    if played.draft is not None and played.signed:
        title = Text("signed, word by word: ")
        for change in (Change.DELETE, Change.INSERT):
            title.append_text(_show_words(change, change.value, colour=colour)).append(" ")
        diff = show_diff(played.draft.text, played.signed, colour=colour)
        parts.append(Panel(diff, title=title, title_align="left"))
    return Group(*parts)


def _show_study(played: Played) -> RenderableType:
    ris = played.ris
    body = Text.assemble(
        ("clinical information: ", "bold"), ris.case.reason, "\n", ("findings: ", "bold"), ris.case.findings
    )
    signer = ris.signer.name.replace("^", ", ")
    title = f"{ris.case.procedure} · {ris.accession} · to be signed by {signer} ({ris.signer.persona})"
    return Panel(body, title=title, title_align="left")


def show_timeline(steps: Sequence[Step]) -> Table:
    """Seconds since the order, what went from whom to whom, its control id and the answer."""
    table = Table("s", "what", "from → to", "control id", "answer", title="timeline", title_justify="left")
    table.columns[0].justify = "right"
    table.columns[3].no_wrap = True
    for step in steps:
        table.add_row(
            f"{step.at_s:.3f}", step.what, f"{step.source} → {step.target}", step.control_id, Text(step.answer)
        )
    return table


def show_arrival(arrival: Arrival) -> Panel:
    """A draft as the dictation software got it, with its flags and where it came from."""
    body = Text(arrival.text)
    for flag in arrival.flags:
        body.append(f"\n⚑ {flag}", style="yellow")
    wrote = f"the LoRA {arrival.lora}" if arrival.lora != "none" else "the coarse stage; no LoRA had a hand in it"
    body.append(f"\nwritten by {wrote}", style="dim")
    return Panel(body, title=f"draft for {arrival.accession}, unverified", title_align="left")


def show_diff(draft: str, signed: str, *, colour: bool) -> Text:
    """Both texts in one: what was deleted and what was inserted, by colour or by marks."""
    text = Text()
    for run in diff_words(draft, signed):
        words = [word for word in run.words if word != "\n" or run.change is not Change.DELETE]
        if words:
            text.append_text(_show_words(run.change, _join(words), colour=colour))
        if not text.plain.endswith("\n"):
            text.append(" ")
    return text


def _join(words: Sequence[str]) -> str:
    return " ".join(words).replace(" \n ", "\n").replace("\n ", "\n").replace(" \n", "\n")


def _show_words(change: Change, words: str, *, colour: bool) -> Text:
    before, after = ("", "") if colour else _MARKS[change]
    return Text(f"{before}{words}{after}", style=_STYLES[change] if colour else "")
