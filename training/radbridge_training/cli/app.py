"""The commands of `radbridge train`."""

from __future__ import annotations

import warnings

import typer

from radbridge import logs
from radbridge.cli.common import err
from radbridge_training.cli import gate, rows, run, status, steps

app = typer.Typer(help="Train LoRAs from signed reports, judge them, publish them.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Logs are set up before anything can go wrong: an error shown otherwise might show what it was about."""
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers\.")  # PEFT asks by a former name
    if err.is_terminal:
        logs.configure(level="warning", format="console")
    else:  # the gateway's scheduler reads them, or cron
        logs.configure()


app.command("run")(run.run)
app.command("status")(status.status)
app.command("examples")(rows.examples)
app.command("sft")(steps.sft)
app.command("prefer")(steps.prefer)
app.command("reinforce")(steps.reinforce)
app.command("reward")(steps.reward)
app.command("gate")(gate.gate)
app.command("publish")(gate.publish)
