"""TLS on the command line: options that are called as the keys of the site's file are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from radbridge.config.tls import TlsClient
from radbridge.errors import ConfigError

CaFile = Annotated[
    Path | None, typer.Option("--ca-file", help="TLS: whom to trust instead of the system's authorities.")
]
CertFile = Annotated[
    Path | None, typer.Option("--cert-file", help="TLS: our certificate, and its key unless --key-file has it.")
]
KeyFile = Annotated[Path | None, typer.Option("--key-file", help="TLS: the key of --cert-file.")]
Pins = Annotated[
    list[str] | None,
    typer.Option("--pin", help="TLS: a key it may have, as `radbridge keys pin` prints it; may be given again."),
]
ServerName = Annotated[
    str, typer.Option("--server-name", help="TLS: the name that its certificate has, where that isn't the host.")
]


def read_tls(
    *,
    by: str,
    tls: bool,
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    pins: Sequence[str] | None,
    server_name: str = "",
) -> TlsClient:
    """What the options say, held to the same rules as the file; `by` is what would ask for TLS. Raises ConfigError."""
    if not tls and (ca_file or cert_file or key_file or pins or server_name):
        raise ConfigError([f"--ca-file, --cert-file, --key-file, --pin and --server-name need {by}"])
    try:
        return TlsClient(
            tls=tls,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            pins=tuple(pins or ()),
            server_name=server_name,
        )
    except ValidationError as error:
        raise ConfigError([f"{'.'.join(map(str, e['loc'])) or 'TLS'}: {e['msg']}" for e in error.errors()]) from None
