"""What must hold between the tables of a site's file. Each check gives every problem that it finds."""

from __future__ import annotations

from radbridge.access import OURS
from radbridge.config.dicom import Dicom
from radbridge.config.model import Model
from radbridge.config.site import Site
from radbridge.config.values import is_clear, is_loopback, split_address

RESERVED = {"fhir": "our own FHIR server", "fhircast": "our own hub"}
"""Names that no destination may have: our own parts get the drafts under them."""


def find_problems(site: Site) -> list[str]:
    """Every problem of a site whose tables are right by themselves."""
    return [
        *_check_names(site),
        *_check_dicom(site.dicom),
        *_check_open(site),
        *_check_access(site),
        *_check_keys(site),
        *_check_model(site.model),
        *_check_registry(site),
        *(check_training(site) if site.training.every else ()),
    ]


def _check_access(site: Site) -> list[str]:
    """Who is known by a certificate can show one; and the provider sends people back to where they are waited for."""
    known, problems = site.access.certificates, []
    if known and site.http.client_ca is None:
        problems.append("access.certificates: no caller is asked for a certificate; set http.client_ca")
    for key in ("name", "pin"):
        values = [getattr(one, key) for one in known]
        problems += [
            f"access.certificates: the {key} {value!r} is used twice"
            for value in sorted(set(values))
            if values.count(value) > 1
        ]
    names = {
        "access.certificates": [one.name for one in known],
        "fhir.clients": [one.id for one in site.fhir.clients],
        "cdshooks.client_issuers": list(site.cdshooks.client_issuers),
    }
    problems += [
        f"{table}: the audit trail calls something else {name}; take another name"
        for table, called in names.items()
        for name in called
        if name.casefold() in OURS
    ]
    issuer = site.access.oidc.issuer if site.access.oidc else ""
    if is_clear(issuer):
        problems.append(f"access.oidc: issuer {issuer} says in clear who somebody is; use https://")
    if site.access.oidc is not None and not site.access.oidc.redirect_url.endswith("/auth/callback"):
        problems.append("access.oidc: redirect_url has to end in /auth/callback, where the answer is waited for")
    return problems


def _check_keys(site: Site) -> list[str]:
    """Whose keys come in clear can be anybody: whoever stands on the way puts in their own."""
    places = {f"fhir.clients: {one.id!r}": one.jwks_uri or "" for one in site.fhir.clients}
    places |= {f"cdshooks.client_issuers: {name!r}": one.jwks_uri for name, one in site.cdshooks.client_issuers.items()}
    return [
        f"{place}: the keys at {url} come in clear, and anybody on the way can put in their own; use https://"
        for place, url in places.items()
        if is_clear(url)
    ]


def _check_model(model: Model) -> list[str]:
    if model.base is None:
        return []
    parts = {"config.json": "config.json", "*.safetensors": "weights (safetensors)"}
    missing = [name for pattern, name in parts.items() if not any(model.base.glob(pattern))]
    return [f"model.base: no model in {model.base}: {' and '.join(missing)} missing"] if missing else []


def _check_registry(site: Site) -> list[str]:
    """What is published and promoted in one folder never drafts where the model server reads another."""
    own, served = site.training.registry, site.model.loras
    if site.model.url != "embedded" or own is None or (served is not None and own.resolve() == served.resolve()):
        return []
    read = f"model.loras = {served}" if served else "model.loras, and that isn't set"
    return [f"training.registry: {own} isn't what the embedded model server reads: {read}; set model.loras alone"]


def check_training(site: Site) -> list[str]:
    """Why nothing can be trained at a site; empty where it can."""
    problems = []
    if not site.memory.enabled:
        problems.append("training: it learns from the style memory: set memory.enabled = true")
    if site.registry is None:
        problems.append("training: there is no LoRA registry to publish in: set model.loras or training.registry")
    return problems


def _check_names(site: Site) -> list[str]:
    tables = {
        "hl7v2.destinations": [d.name for d in site.hl7v2.destinations],
        "fhir.destinations": [d.name for d in site.fhir.destinations],
        "fhircast.hubs": [hub.name for hub in site.fhircast.hubs],
        "dicom.destinations": [d.name for d in site.dicom.destinations],
    }
    names = [name for table in tables.values() for name in table]
    problems = [
        f"{table}: the name {name!r} is used twice"
        for table, own in tables.items()
        for name in sorted(set(own))
        if names.count(name) > 1
    ]
    problems += [
        f"{table}: the name {name!r} is taken by {RESERVED[name]}"
        for table, own in tables.items()
        for name in sorted(set(own) & set(RESERVED))
    ]
    servers = set(tables["fhir.destinations"])
    problems += [
        f"fhircast.hubs: {hub.name!r} has report_server {hub.report_server!r}, which is none of fhir.destinations"
        for hub in site.fhircast.hubs
        if hub.report_server is not None and hub.report_server not in servers
    ]
    own = site.fhircast.report_server
    if own is not None and own not in servers:
        problems.append(f"fhircast: report_server {own!r} is none of fhir.destinations")
    ids = [client.id for client in site.fhir.clients]
    return problems + [f"fhir.clients: the id {i!r} is used twice" for i in sorted(set(ids)) if ids.count(i) > 1]


def _check_dicom(dicom: Dicom) -> list[str]:
    """Peers that are called exist; and patients' data comes only from whom the site names (see `_check_open`)."""
    names = [peer.name for peer in dicom.peers]
    problems = [f"dicom.peers: the name {n!r} is used twice" for n in sorted(set(names)) if names.count(n) > 1]
    called = {
        "dicom.worklist": dicom.worklist and dicom.worklist.peer,
        "dicom.pacs": dicom.pacs and dicom.pacs.peer,
    } | {f"dicom.destinations: {d.name!r}": d.peer for d in dicom.destinations}
    reachable = {peer.name for peer in dicom.peers if peer.address is not None}
    problems += [
        f"{place} has peer {peer!r}, which is none of dicom.peers that have an address"
        for place, peer in called.items()
        if peer is not None and peer not in reachable
    ]
    if dicom.enabled and not dicom.peers and not is_loopback(split_address(dicom.listen)[0]):
        problems.append(
            f"dicom: dicom.listen = {dicom.listen!r} can be reached from other machines and anybody may call; "
            "name dicom.peers, or set dicom.enabled = false"
        )
    return problems


def _check_open(site: Site) -> list[str]:
    """Patients' data for whoever asks: only on this machine, or where the site says so."""
    if site.http.is_loopback or site.fhir.open or site.access.required:
        return []
    unguarded = {
        "fhir": site.fhir.enabled and not site.fhir.clients,
        "fhircast": site.fhircast.enabled and not site.fhir.clients,
        "cdshooks": site.cdshooks.enabled and not site.cdshooks.client_issuers,
    }
    return [
        f"{table}: http.listen = {site.http.listen!r} can be reached from other machines and nobody has to log in; "
        f"name {'cdshooks.client_issuers' if table == 'cdshooks' else 'fhir.clients'}, set {table}.enabled = false, "
        "set access.required = true, or set fhir.open = true"
        for table, is_unguarded in unguarded.items()
        if is_unguarded
    ]
