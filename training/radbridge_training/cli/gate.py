"""`radbridge train gate` and `radbridge train publish`: judge weights on files, and publish what passed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radbridge.cli.common import ConfigOption, err, site_of, told
from radbridge.cli.common import out as screen
from radbridge.errors import ConfigError
from radbridge.learning import SHOWN
from radbridge.registry import digest_weights, owner_of, read_version
from radbridge_training.cli.steps import BaseOption, OutOption, RecipeOption, settle_out
from radbridge_training.optimize.figures import tell_nobody
from radbridge_training.recipe import load_recipe
from radbridge_training.rows import load_rows
from radbridge_training.serving import serve_base
from radbridge_training.staging import stage
from radbridge_training.turn_recipe import TurnRecipe

ReasonOption = Annotated[str, typer.Option("--reason", help="Why: kept in the journal. Name no patient in it.")]


def gate(
    *,
    recipe: RecipeOption,
    candidate: Annotated[Path, typer.Option("--candidate", help="Folder of the weights to judge.")],
    later: Annotated[Path, typer.Option("--later", help="later.jsonl, such as `radbridge train examples` writes.")],
    out: OutOption,
    base: BaseOption = None,
    champion: Annotated[Path | None, typer.Option("--champion", help="A version's folder in a registry.")] = None,
) -> None:
    """Judge weights on later reports, through a real model server. Status 1: they don't pass. See <out>/page.html.

    Example: [cyan]radbridge train gate --recipe training/recipes/turn.yaml --candidate var/sft --later later.jsonl
    --out var/gate[/]
    """
    with told():
        plan, serving = load_recipe(recipe, TurnRecipe), serve_base({"base": str(base)} if base else {})
        shown = load_rows(later, SHOWN)
        if not shown:
            raise ConfigError([f"--later: there is no report in {later}"])
        from radbridge_training.gate.rules import load_rules
        from radbridge_training.gate.run import GateJob, run_gate
        from radbridge_training.turn.gating import put_verdict

        folder = settle_out(out)
        radiologist = shown[-1].report.radiologist
        without = serving.packaged.get(serving.site_lora)
        asked = GateJob(
            owner=owner_of("rad", radiologist),
            radiologist=radiologist,
            candidate=candidate,
            later=later,
            into=stage(folder),
            champion=read_version(champion) if champion else None,
            without=without if without and without.base_digest == serving.digest else None,
        )
        (verdict,) = run_gate(
            [asked],
            serving=serving,
            plan=plan.gate,
            rules=load_rules(),
            work=folder.with_name(f".{folder.name}.work"),
            seed=plan.seed,
            threads=plan.threads,
            load=plan.load,
            tell=tell_nobody,
        )
        put_verdict(asked, verdict, folder, inputs="", seconds=0.0)
    screen.print("passed" if verdict.passed else f"failed: {verdict.reason}", highlight=False, markup=False)
    screen.print(str(folder / "page.html"), highlight=False, markup=False)
    if not verdict.passed:
        raise typer.Exit(1)


def publish(
    *,
    folder: Annotated[Path, typer.Option("--folder", help="Of the weights: a step of a turn, or of `train sft`.")],
    owner: Annotated[str, typer.Option("--owner", help="Such as rad/1001.")],
    config: ConfigOption = None,
    verdict: Annotated[Path | None, typer.Option("--verdict", help="The gate's folder; else 5-gate beside it.")] = None,
    rows: Annotated[
        Path | None, typer.Option("--rows", help="Folder of what was learned; else 1-examples beside the weights.")
    ] = None,
    parent: Annotated[str, typer.Option("--parent", help="The version that training went on from.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Without a verdict, or what was learned.")] = False,
    reason: ReasonOption = "",
) -> None:
    """Publish weights that passed the gate as a version; `radbridge loras promote` or `challenge` lets it draft.

    Example: [cyan]radbridge train publish --folder var/sft --verdict var/gate --rows var/rows/rad/1001/1-examples
    --owner rad/1001 --config site.toml[/]
    """
    from radbridge_training.turn.examples import EXAMPLES, REPORTS
    from radbridge_training.turn.gating import GATE, read_learned
    from radbridge_training.turn.publishing import Lineage, Publisher
    from radbridge_training.turn.workshop import open_workshop

    with told():
        site = site_of(config)
        learned = rows or folder.parent / EXAMPLES
        is_told = (learned / REPORTS).is_file()
        if not force:
            _check_verdict(folder, verdict or folder.parent / GATE)
            if not is_told:
                raise ConfigError([f"--rows: no {REPORTS} in {learned}; a version has to say what it learned from"])
        elif not reason:
            raise ConfigError(["--force: say why with --reason"])
        with open_workshop(site) as shop:
            publisher = Publisher(shop.registry, shop.stores, secret=shop.secret)
            reports = read_learned(learned) if is_told else {}
            lineage = Lineage(
                base_digest=shop.serving.digest,
                prompt_version=shop.serving.ways.version,
                parent=parent,
                ids=reports.keys(),
                trained={"upto": max(reports.values())} if reports else {},
            )
            version = publisher.publish(folder, owner, lineage, reason=reason or "passed the gate")
    if not reports:
        err.print("[yellow]it doesn't say what it learned from:[/] `radbridge forget` won't find it", highlight=False)
    screen.print(version.name, highlight=False)


def _check_verdict(weights: Path, folder: Path) -> None:
    """Raises ConfigError unless the gate in `folder` let these very weights pass."""
    from radbridge_training.turn.done import read_done

    done = read_done(folder)
    if done is None:
        raise ConfigError(
            [f"--verdict: the gate hasn't spoken in {folder}; run `radbridge train gate`, or add --force"]
        )
    if done.told.get("candidate") != digest_weights(weights):
        raise ConfigError([f"--verdict: {folder} is about other weights than {weights}"])
    if not done.told.get("passed"):
        raise ConfigError([f"--verdict: the gate said no: {done.told.get('reason')}"])
