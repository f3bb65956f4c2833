"""`radbridge forget`: nothing of a patient, or by a radiologist, is learned from any more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from radbridge.audit import What
from radbridge.cli.common import ConfigOption, account, err, noted, out, reading, site_of, told, writing
from radbridge.config import Site
from radbridge.errors import ConfigError
from radbridge.journal import audit, purge, secrets, sources, withdrawals
from radbridge.journal.withdrawals import Act, Withdrawn
from radbridge.loras import Act as LoraAct
from radbridge.loras import Wanted, carry_out
from radbridge.registry import LoraRegistry, owner_of, personas


def forget(
    config: ConfigOption = None,
    patient: Annotated[str, typer.Option(help="The patient's number, as the messages have it.")] = "",
    issuer: Annotated[str, typer.Option(help="Who issued it (PID-3.4); without it, that number of any issuer.")] = "",
    radiologist: Annotated[str, typer.Option(help="The id of whoever signed.")] = "",
) -> None:
    """Withdraw somebody from learning, for good: rows are removed, and every LoRA that saw one is marked.

    Marked versions go on serving until the next `radbridge train run` has trained anew, from the base; one that was on
    trial ends it. A radiologist's own are served no more. Reports of theirs that come later aren't learned from either.
    The cases and drafts themselves stay.

    Example: [cyan]radbridge forget --patient 900001 --config site.toml[/]
    """
    with told():
        if bool(patient) == bool(radiologist) or (issuer and not patient):
            raise ConfigError(["forget needs one of --patient (and with it perhaps --issuer) and --radiologist"])
        site = site_of(config)
        with reading(site) as conn:
            secret = secrets.read(conn, secrets.PSEUDONYMS)
        act = Act(at=datetime.now(UTC), actor=account(), secret=secret)
        with writing(site) as conn:
            if patient:
                withdrawals.note_patient(conn, patient, issuer, act)
            else:
                withdrawals.note_radiologist(conn, radiologist, act)
        with writing(site) as conn:
            gone = (
                withdrawals.withdraw_patient(conn, patient, issuer, act)
                if patient
                else _withdraw_radiologist(conn, site, radiologist, act)
            )
            marked = sources.marked(conn)
            detail = {"reports": str(gone.reports), "edits": str(gone.edits)}
            note = noted(What.PURGED, "forget", **detail, **({"radiologist": radiologist} if radiologist else {}))
            audit.note(conn, [replace(note, patient=patient)])
        purge.finish(site.store.url)
        _sweep(site.training.work, gone.signers)
        _end_trials(site, marked)
        if radiologist:
            _retire(site, radiologist)
    err.print(f"{_count(gone.reports, 'report')} and {_count(gone.edits, 'edit')} forgotten", highlight=False)
    for version in gone.versions:
        out.print(f"{version}  to be trained anew", highlight=False)


def _withdraw_radiologist(conn: Connection, site: Site, id: str, act: Act) -> Withdrawn:
    """Their own LoRAs are marked whatever is known of what they were trained on."""
    root, owner = site.registry, owner_of("rad", id)
    versions = [f"{owner}@{folder}" for folder in LoraRegistry(root).folders(owner)] if root else []
    return withdrawals.withdraw_radiologist(conn, id, act, versions=versions)


def _end_trials(site: Site, versions: Iterable[str]) -> None:
    """A marked version must not become champion by what is signed over its drafts."""
    if (root := site.registry) is None:
        return
    loras = LoraRegistry(root)
    for owner, _, folder in (version.partition("@") for version in versions):
        if loras.alias_names(owner).challenger == folder:
            _flip(site, loras, LoraAct.WITHDRAW, owner, "it learned from what was withdrawn")


def _retire(site: Site, radiologist: str) -> None:
    """Nothing that was made of their reports writes for them: neither their LoRA nor the persona that is like them."""
    if (root := site.registry) is None:
        return
    loras, owner = LoraRegistry(root), owner_of("rad", radiologist)
    personas.drop_choice(root, radiologist)
    if loras.alias_names(owner).champion:
        _flip(site, loras, LoraAct.RETIRE, owner, "its radiologist withdrew")


def _flip(site: Site, loras: LoraRegistry, act: LoraAct, owner: str, reason: str) -> None:
    wanted = Wanted(act=act, name=owner, actor=account(), via="cli", reason=reason)
    carry_out(loras, wanted, partial(_record, site))


def _record(site: Site, operation: Callable[[Connection, Sequence[Any]], Any], item: object) -> None:
    with writing(site) as conn:
        operation(conn, [item])


def _sweep(work: Path, signers: Iterable[str]) -> None:
    """Take away what a turn that hasn't ended made of their reports, and the rows that another was told to keep."""
    turns = [turn for turn in work.glob("*") if (turn / "turn.json").is_file()]
    for owner in (owner_of("rad", signer) for signer in signers):
        for turn in turns:
            if not _has_ended(turn):
                shutil.rmtree(turn / owner, ignore_errors=True)
            for rows in (turn / owner).rglob("*.jsonl"):
                rows.unlink(missing_ok=True)


def _has_ended(turn: Path) -> bool:
    try:
        return bool(json.loads((turn / "turn.json").read_bytes()).get("ended"))
    except (OSError, ValueError, AttributeError):
        return False


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
