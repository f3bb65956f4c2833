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
from radbridge_adapters.security.options import CaFile, CertFile, KeyFile, Pins, ServerName, read_tls
from radbridge_adapters.security.tls import client_context


def send(
    *,
    file: Annotated[Path, typer.Argument(help="One or more messages, with or without MLLP framing.")],
    to: Annotated[str, typer.Option("--to", help="host:port of the listener.")],
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait for each answer.")] = 10.0,
    tls: Annotated[bool, typer.Option("--tls", help="Call it by TLS.")] = False,
    ca_file: CaFile = None,
    cert_file: CertFile = None,
    key_file: KeyFile = None,
    pin: Pins = None,
    server_name: ServerName = "",
) -> None:
    """Send HL7 v2 messages over MLLP and print each answer. Status 1 when one isn't positive.

    Example: [cyan]radbridge send report.hl7 --to 127.0.0.1:2575[/]
    """
    with told():
        trust = read_tls(
            by="--tls",
            tls=tls,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            pins=pin,
            server_name=server_name,
        )
        try:
            host, port = split_address(to)
            messages = [piece.raw for piece in split_messages(file.read_bytes())]
        except ValueError as error:
            raise ConfigError([f"--to: {error}"]) from None
        except OSError as error:
            raise ConfigError([f"{file}: {error.strerror}"]) from None
        if not messages:
            raise ConfigError([f"{file}: no message in it; one begins with MSH"])
        context = client_context("--to", trust) if tls else None
        client = MllpClient(host, port, timeout, tls=context, server_name=server_name)
        positive = asyncio.run(_send_all(client, messages))
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
