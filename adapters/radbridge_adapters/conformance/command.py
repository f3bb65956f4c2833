"""`radbridge conformance`: a vendor's own receiver of drafts, held to the contract."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import orjson
import typer

from radbridge.config import split_address
from radbridge.config.tls import TlsClient
from radbridge.errors import ConfigError
from radbridge_adapters.conformance.check import Outcome, passes, run_checks
from radbridge_adapters.conformance.report import make_document, make_table
from radbridge_adapters.security.options import CaFile, CertFile, KeyFile, Pins, read_tls

_TTL = timedelta(hours=1)
_NAME = "the target"
_DICOM_SCHEMES = ("dicom://", "dicoms://")
_TLS_SCHEMES = frozenset(("https", "wss", "mllps", "dicoms"))


class WireName(StrEnum):
    """Which receiver it is."""

    HL7V2 = "hl7v2"
    FHIR = "fhir"
    FHIRCAST = "fhircast"
    DICOM = "dicom"


def conformance(
    *,
    target: Annotated[
        str,
        typer.Option(
            help="mllp://host:port of an HL7 receiver, dicom://TITLE@host:port of a PACS (mllps, dicoms: by TLS), "
            "or the URL of a FHIR server or of a FHIRcast hub."
        ),
    ],
    wire: Annotated[WireName | None, typer.Option(help="Needed for a FHIRcast hub; else the URL tells.")] = None,
    topic: Annotated[str, typer.Option(help="FHIRcast: the session to use, where the hub gives them out.")] = "",
    token: Annotated[
        str, typer.Option(envvar="RADBRIDGE_CONFORMANCE_TOKEN", help="A bearer token; better in the environment.")
    ] = "",
    separate: Annotated[
        bool, typer.Option("--separate", help="FHIR: three requests a draft, not a transaction.")
    ] = False,
    ca_file: CaFile = None,
    cert_file: CertFile = None,
    key_file: KeyFile = None,
    pin: Pins = None,
    ae_title: Annotated[str, typer.Option(help="DICOM: what we are called there.")] = "RADBRIDGE",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each answer.")] = 10.0,
    json: Annotated[Path | None, typer.Option(help="Write the report here too, as JSON.")] = None,
) -> None:
    """Check your own receiver of drafts against RadBridge's contract; status 0 only if it keeps every MUST.

    Everything sent is invented, under new accession numbers that begin with CONF. Use a test system all the same.

    Example: [cyan]radbridge conformance --target mllp://127.0.0.1:2576[/]
    """
    from radbridge.cli.common import err, out, told  # the command line loads this module

    with told():
        chosen = wire or _guess(target)
        is_tls = urlsplit(target).scheme in _TLS_SCHEMES
        by = "a target of mllps://, dicoms:// or https://"
        trust = read_tls(by=by, tls=is_tls, ca_file=ca_file, cert_file=cert_file, key_file=key_file, pins=pin)
        if chosen is WireName.DICOM:
            work = _run_dicom(target, ae_title, trust=trust, wait_s=timeout)
        else:
            work = _run(chosen, target, topic=topic, token=token, separate=separate, trust=trust, wait_s=timeout)
        outcomes = asyncio.run(work)
        if json is not None:
            json.write_bytes(orjson.dumps(make_document(chosen, outcomes), option=orjson.OPT_INDENT_2))
    out.print(make_table(outcomes))
    broken = sum(not outcome.kept for outcome in outcomes)
    out.print(f"{len(outcomes) - broken} of {len(outcomes)} promises kept", highlight=False)
    if not passes(outcomes):
        err.print("[red]A MUST is broken: drafts would be lost, doubled or shown for verified.[/]", highlight=False)
        raise typer.Exit(1)


def _guess(target: str) -> WireName:
    if target.startswith(_DICOM_SCHEMES):
        return WireName.DICOM
    return WireName.FHIR if target.startswith(("http://", "https://")) else WireName.HL7V2


async def _run(
    wire: WireName,
    target: str,
    *,
    topic: str,
    token: str,
    separate: bool,
    trust: TlsClient,
    wait_s: float,
) -> list[Outcome]:
    from radbridge_adapters.conformance import fhir, fhircast, hl7v2  # 0.2 s, and only here
    from radbridge_adapters.resources.draft import Composer
    from radbridge_adapters.rest import FhirClient
    from radbridge_adapters.rest.client import make_http
    from radbridge_adapters.security.tls import client_context

    composer = Composer(fhir.name_of, ttl=_TTL)
    if wire is WireName.HL7V2:
        host, port = _address(target)
        tls = client_context(_NAME, trust) if trust.tls else None
        return await run_checks(hl7v2.CHECKS, hl7v2.MllpTarget(host=host, port=port, timeout_s=wait_s, tls=tls))
    if wire is WireName.FHIR:
        tokens = _GivenToken(token) if token else None
        client = FhirClient(_NAME, target, timeout_s=wait_s, tokens=tokens, trust=trust)
        try:
            return await run_checks(fhir.CHECKS, fhir.make_target(client, composer, in_one=not separate))
        finally:
            await client.close()
    async with make_http(_NAME, target, timeout_s=wait_s, trust=trust) as http:
        if token:
            http.headers["authorization"] = f"Bearer {token}"
        tls = client_context(_NAME, trust)
        hub = fhircast.HubTarget(
            url=target.rstrip("/"), http=http, composer=composer, timeout_s=wait_s, topic=topic, tls=tls
        )
        return await run_checks(fhircast.CHECKS, hub)


async def _run_dicom(target: str, ae_title: str, *, trust: TlsClient, wait_s: float) -> list[Outcome]:
    from radbridge_adapters.conformance import dicom  # pydicom takes its time, and only here
    from radbridge_adapters.dicom.network.calling import Target
    from radbridge_adapters.dicom.network.scu import Scu
    from radbridge_adapters.dicom.writing.compose import Composer
    from radbridge_adapters.security.tls import client_context

    title, at, _ = urlsplit(target).netloc.rpartition("@")
    if not at or not title:
        raise ConfigError(["--target: a PACS is named with its AE title: dicom://TITLE@host:port"])
    host, port = _address(target.replace(f"{title}@", "", 1))
    tls = client_context(_NAME, trust) if trust.tls else None
    scu = Scu(Target(name=_NAME, host=host, port=port, called=title, calling=ae_title, tls=tls))
    composer = Composer(destination="conformance", ae_title=ae_title, zone=UTC)
    return await run_checks(dicom.CHECKS, dicom.DicomTarget(scu=scu, composer=composer, timeout_s=wait_s))


def _address(target: str) -> tuple[str, int]:
    try:
        return split_address(urlsplit(target).netloc if "://" in target else target)
    except ValueError as error:
        raise ConfigError([f"--target: {error}"]) from None


class _GivenToken:
    """A bearer token that somebody else got."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    def forget(self, token: str) -> None:
        """There is no other."""

    async def close(self) -> None:
        """Nothing to close."""
