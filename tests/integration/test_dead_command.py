"""`radbridge dead` and `radbridge destinations`, beside a gateway's couriers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from typer.testing import CliRunner, Result

from radbridge.cli.app import app
from tests.support.delivering import NAME, Line, delivering, receiving


async def command(site: Path, *words: str) -> Result:
    """Run a command as an operator does, in another thread than the gateway's."""
    return await asyncio.to_thread(CliRunner().invoke, app, [*words, "--config", str(site)])


def site_of(folder: Path, port: int) -> Path:
    """A site whose journal is the one in `folder`."""
    site = folder / "site.toml"
    destination = f'[[hl7v2.destinations]]\nname = "{NAME}"\naddress = "127.0.0.1:{port}"\n'
    site.write_text(f'[store]\nurl = "sqlite:///{folder}/radbridge.db"\n{destination}')
    return site


async def test_an_operators_night(tmp_path: Path) -> None:
    """Refused drafts are listed, shown, sent again or dropped; a paused destination gets nothing until resumed."""
    code = "AR"

    async def script(line: Line, control_id: str) -> None:
        await line.say(control_id, code)

    async with receiving(script) as receiver, delivering(tmp_path, receiver) as flow:
        site = site_of(tmp_path, receiver.port)
        await flow.queue("A1", "A2")
        await flow.until(lambda: flow.states("A1", "A2") == ["refused", "refused"])
        listed = (await command(site, "dead", "list")).output
        assert all(word in listed for word in ("d1", "d2", "A1", "A2", NAME, "refused"))
        problems = (await command(site, "problems")).output
        assert all(word in problems for word in ("d1", "d2", "A1", "A2", "refused"))
        shown = (await command(site, "dead", "show", "d1")).output
        assert "19005-8" in shown
        assert "first sent" in shown

        assert (await command(site, "destinations", "pause", NAME, "--reason", "upgrade")).exit_code == 0
        code = "AA"
        assert "1 dropped" in (await command(site, "dead", "drop", "d2", "--reason", "old")).output
        assert "1 retried" in (await command(site, "dead", "retry", "--to", NAME)).output
        shown = (await command(site, "destinations", "list")).output
        assert all(word in shown for word in (NAME, "paused", "upgrade"))
        assert flow.states("A1", "A2") == ["pending", "dropped"]
        assert "active" in (await command(site, "destinations", "resume", NAME)).output
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        assert "nothing waits" in (await command(site, "dead", "list")).output


async def test_what_can_not_be(tmp_path: Path) -> None:
    """An unknown id, an unknown destination and a retry of nothing end with status 2 and say what there is."""

    async def script(line: Line, control_id: str) -> None:
        await line.say(control_id)

    async with receiving(script) as receiver, delivering(tmp_path, receiver):
        site = site_of(tmp_path, receiver.port)
        for words, said in (
            (("dead", "retry", "d7"), "dead list"),
            (("dead", "retry"), "--to"),
            (("dead", "drop", "17"), "m17 or d9"),
            (("destinations", "pause", "nowhere"), NAME),
        ):
            result = await command(site, *words)
            assert result.exit_code == 2
            assert said in result.output.replace("\n", " ")
