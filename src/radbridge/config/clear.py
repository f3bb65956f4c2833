"""What a site speaks in clear beyond its own machine: allowed, and rarely meant."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, urlsplit

from radbridge.config.site import Site
from radbridge.config.store import Store
from radbridge.config.values import is_clear, is_loopback, split_address


def find_clear(site: Site) -> list[str]:
    """A warning for each listener and each destination without TLS that isn't on this machine."""
    base = site.fhir.base_url or ""
    listeners = {
        "http": (site.http.listen, site.http.tls is not None or base.startswith("https://"), "http.tls_cert"),
        "hl7v2": (site.hl7v2.listen, site.hl7v2.tls is not None, "[hl7v2.tls]"),
        "dicom": (site.dicom.listen, site.dicom.tls is not None or not site.dicom.enabled, "[dicom.tls]"),
    }
    found = [
        f"{name}.listen = {listen!r} takes patients' data in clear from other machines; set {key}"
        for name, (listen, is_safe, key) in listeners.items()
        if not is_safe and not is_loopback(split_address(listen)[0])
    ]
    addresses = {f"hl7v2.destinations: {d.name!r}": d.address for d in site.hl7v2.destinations if not d.tls}
    addresses |= {f"dicom.peers: {p.name!r}": p.address for p in site.dicom.peers if p.address and not p.tls}
    found += [
        f"{place} is sent patients' data in clear; set its tls = true"
        for place, address in addresses.items()
        if not is_loopback(split_address(address)[0])
    ]
    urls = {f"fhir.destinations: {d.name!r}": d.url for d in site.fhir.destinations}
    urls |= {f"fhircast.hubs: {hub.name!r}": hub.url for hub in site.fhircast.hubs}
    for table, ours in (("fhir.destinations", site.fhir.destinations), ("fhircast.hubs", site.fhircast.hubs)):
        urls |= {f"{table}: token_url of {one.name!r}": one.token_url for one in ours if one.token_url}
    urls |= {"dicom.dicomweb": site.dicom.dicomweb.url} if site.dicom.dicomweb else {}
    urls |= {"model": site.model.url}
    urls |= {"traces": site.traces.endpoint} if site.traces.endpoint else {}
    syslog = site.audit.syslog
    if syslog.address and not syslog.tls and not is_loopback(split_address(syslog.address)[0]):
        found.append("audit.syslog is sent the audit trail in clear; set its tls = true")
    if site.store.is_shared and _is_unproven(site.store):
        found.append(
            "store.url: the journal goes to a server that proves nothing, maybe in clear; add ?sslmode=verify-full, "
            "and &sslrootcert=FILE where its authority is the hospital's own"
        )
    return found + [f"{place}: {url} is asked in clear; use https://" for place, url in urls.items() if is_clear(url)]


def _is_unproven(store: Store) -> bool:
    """Whether PostgreSQL is on another machine and its certificate isn't checked (libpq, SSL Mode Descriptions)."""
    parts = urlsplit(store.url)
    said = parse_qs(parts.query)
    if said.get("sslmode", [os.environ.get("PGSSLMODE", "")])[-1] == "verify-full":
        return False
    named = ",".join((parts.netloc.rpartition("@")[2], *said.get("host", ()))).split(",")
    hosts = [urlsplit(f"//{one}").hostname or "" for one in named if not one.startswith("/")]  # a path: a socket here
    return any(host and not is_loopback(host) for host in hosts)
