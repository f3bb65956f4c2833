"""`[traces]`: where spans go. They hold no patient, as logs don't."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from radbridge.config.tls import Trust
from radbridge.config.values import Url


class Traces(Trust):
    """OpenTelemetry by OTLP over HTTP. Needs `pip install 'radbridge[otel]'`."""

    endpoint: Url | None = None
    """The collector, such as `http://collector:4318/v1/traces`; None: no traces are made."""
    headers_file: Path | None = None
    """`name: value` lines that go with each request, such as its token."""
    sample: float = Field(default=0.1, ge=0, le=1)
    """Part of the messages whose way is traced."""

    @model_validator(mode="after")
    def _headers_for_somebody(self) -> Traces:
        if self.endpoint is None and (self.headers_file or self.ca_file or self.cert_file or self.pins):
            raise ValueError("headers_file, ca_file, cert_file and pins need endpoint")
        return self
