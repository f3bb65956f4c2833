"""The servers that `acks.py` measures beside RadBridge: `python -m tests.bench.ack_peers NAME PORT FILE`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any


def serve_python_hl7(port: int, _file: str) -> None:
    """python-hl7's asyncio server: parses, builds the ACK, stores nothing."""
    from hl7.mllp import start_hl7_server

    async def talk(reader: Any, writer: Any) -> None:
        try:
            while True:
                message = await reader.readmessage()
                writer.writemessage(message.create_ack())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await start_hl7_server(talk, "127.0.0.1", port, encoding="utf-8")
        print("up", flush=True)
        await server.serve_forever()

    asyncio.run(run())


def serve_hl7apy(port: int, _file: str) -> None:
    """hl7apy's MLLPServer with a handler that parses and answers."""
    from hl7apy.core import Message
    from hl7apy.mllp import AbstractHandler, MLLPServer
    from hl7apy.parser import parse_message

    class Handler(AbstractHandler):  # type: ignore[misc]  # hl7apy has no types
        def reply(self) -> str:
            incoming = parse_message(self.incoming_message, find_groups=False)
            ack = Message("ACK", version="2.5.1")
            ack.msh.msh_9 = "ACK^R01^ACK"
            ack.msa.msa_1 = "AA"
            ack.msa.msa_2 = incoming.msh.msh_10.value
            return str(ack.to_mllp())

    server = MLLPServer("127.0.0.1", port, {"ORU^R01^ORU_R01": (Handler,)})
    print("up", flush=True)
    server.serve_forever()


def serve_fdatasync(port: int, file: str) -> None:
    """Appends each message to a file, one fdatasync each, and answers with its control id."""
    sink = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                raw = await reader.readuntil(b"\x1c\r")
                os.write(sink, raw)
                os.fdatasync(sink)
                control_id = raw.split(b"|", 10)[9]
                writer.write(b"\x0bMSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|AA|" + control_id + b"\r\x1c\r")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", port)
        print("up", flush=True)
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    {"python-hl7": serve_python_hl7, "hl7apy": serve_hl7apy, "fdatasync": serve_fdatasync}[sys.argv[1]](
        int(sys.argv[2]), sys.argv[3]
    )
