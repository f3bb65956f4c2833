"""What may be sent and what can be answered: JSON, and nothing else (R4 http.html#mime-type)."""

from __future__ import annotations

from radbridge_adapters.fhir.request import Request
from radbridge_adapters.resources.outcome import refuse

FHIR_JSON = "application/fhir+json; charset=utf-8"
_JSON = frozenset({"json", "application/json", "application/fhir+json", "text/json", "application/json+fhir"})
_ACCEPTED = _JSON | {"*/*", "application/*", "text/*"}
_FORM = "application/x-www-form-urlencoded"


def check_accept(request: Request) -> None:
    """Raises Issues (406) unless the client takes JSON. `_format` weighs more than Accept."""
    wanted = next((value for name, value in request.query if name == "_format"), None)
    offered = [wanted] if wanted else request.headers.get("accept", "*/*").split(",")
    if not any(_is_among(one, _ACCEPTED) and _weight(one) > 0 for one in offered):
        raise refuse("not-supported", "this server speaks only JSON: application/fhir+json", status=406)


def check_content(request: Request) -> None:
    """Raises Issues (415) for a body that is declared as anything but JSON in UTF-8."""
    declared = request.headers.get("content-type", "")
    if not _is_among(declared, _JSON):
        raise refuse("not-supported", "this server reads only JSON: application/fhir+json", status=415)
    charset = _parameter(declared, "charset")
    if charset and charset.lower().replace("_", "-") not in ("utf-8", "utf8", "us-ascii"):
        raise refuse("not-supported", "FHIR's JSON is in UTF-8 (R4 json.html)", status=415)


def check_form(request: Request) -> None:
    """Raises Issues (415) for parameters of a search that come as anything but a form."""
    if not _is_among(request.headers.get("content-type", ""), frozenset({_FORM})):
        raise refuse("not-supported", f"the parameters of a search are posted as {_FORM}", status=415)


def _is_among(media: str, allowed: frozenset[str]) -> bool:
    # An unescaped `+` of `application/fhir+json` in a URL reads as a blank.
    return media.split(";", maxsplit=1)[0].strip().lower().replace(" ", "+") in allowed


def _weight(media: str) -> float:
    try:
        return float(_parameter(media, "q") or 1)
    except ValueError:
        return 1.0


def _parameter(media: str, name: str) -> str:
    pairs = (part.strip().partition("=") for part in media.split(";")[1:])
    return next((value.strip('" ') for key, _, value in pairs if key.strip().lower() == name), "")
