"""`radbridge send`: HL7 messages from a file to an MLLP listener."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from radbridge.cli.common import err, out, told
from radbridge.config import split_address
from radbridge.errors import ConfigError, MessageFault
from radbridge_adapters.hl7v2.client import MllpClient, read_control_id
from radbridge_adapters.hl7v2.files import split_messages
from radbridge_adapters.hl7v2.sink import DELIVERED


def send(
    file: Annotated[Path, typer.Argument(help="One or more messages, with or without MLLP framing.")],
    to: Annotated[str, typer.Option("--to", help="host:port of the listener.")],
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait for each answer.")] = 10.0,
) -> None:
    """Send HL7 v2 messages over MLLP and print each answer. Status 1 when one isn't positive.

    Example: [cyan]radbridge send report.hl7 --to 127.0.0.1:2575[/]
    """
    with told():
        try:
            host, port = split_address(to)
            messages = [piece.raw for piece in split_messages(file.read_bytes())]
        except ValueError as error:
            raise ConfigError([f"--to: {error}"]) from None
        except OSError as error:
            raise ConfigError([f"{file}: {error.strerror}"]) from None
        if not messages:
            raise ConfigError([f"{file}: no message in it; one begins with MSH"])
        positive = asyncio.run(_send_all(MllpClient(host, port, timeout), messages))
    if positive < len(messages):
        err.print(f"[red]{len(messages) - positive} of {len(messages)} not accepted[/]", highlight=False)
        raise typer.Exit(1)


async def _send_all(client: MllpClient, messages: list[bytes]) -> int:
    positive = 0
    try:
        for message in messages:
            ack = await client.send(message, _control_id(message))
            answer = ack.raw.decode("utf-8", "replace").replace("\r", "\n").strip()
            out.print(answer, markup=False, highlight=False, soft_wrap=True)
            positive += ack.code in DELIVERED
    finally:
        await client.close()
    return positive


def _control_id(message: bytes) -> str:
    try:
        return read_control_id(message)
    except MessageFault:
        return ""  # the listener's answer to it has an empty MSA-2
