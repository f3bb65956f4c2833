"""FastAPI and the wires' applications on uvicorn, inside the gateway's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections.abc import Iterator, Sequence
from functools import partial

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from radbridge import __version__
from radbridge.config import Http, Site, split_address
from radbridge.config.files import find_certificates
from radbridge.errors import (
    AccessDenied,
    ConfigError,
    JournalError,
    LoraRefused,
    NotThere,
    RadBridgeError,
    RegistryError,
)
from radbridge.wire import Ping, Status
from radbridge_adapters.console import api, loras, operating
from radbridge_adapters.console.access import Door
from radbridge_adapters.console.auth import Auth
from radbridge_adapters.console.dispatch import Dispatcher, at_most
from radbridge_adapters.console.protocols import MAX_HEAD_BYTES, watch
from radbridge_adapters.resources.outcome import Issues
from radbridge_adapters.security.http import CHALLENGE, headers_of
from radbridge_adapters.security.oidc import OpenId
from radbridge_adapters.security.tls import expires_at, server_context

log = structlog.get_logger(__name__)


MAX_BODY_BYTES = 65536
"""Of a request to the console itself: the wires have limits of their own."""
KEEP_ALIVE_S = 75
"""A connection may idle between two requests. Longer than nginx (60 s) and other balancers and clients keep one, so
that the caller closes first: a request that crosses our closing is lost."""


def make_app(site: Site, status: Status) -> FastAPI:
    """The application: three paths that need no login and show no patient, logins, and the operators' API.

    Raises ConfigError for a file of `[access]` or `[http]` that can't be used.
    """
    app = FastAPI(title="RadBridge", version=__version__, docs_url=None, redoc_url=None)
    app.state.site = site
    app.state.status, app.state.store, app.state.door = status, status.store, Door(site, status.store)
    app.include_router(Auth(site, status.store, status.meter).router)
    app.include_router(api.router)
    app.include_router(operating.router)
    app.include_router(loras.router)
    token = _read_token(site.http)
    _add_refusals(app)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The event loop turns."""
        return {"status": "ok", "version": __version__}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """200 once every listener and the model answer, 503 with the parts that don't."""
        parts = dict(await status.readiness())
        return JSONResponse(
            {"ready": all(parts.values()), "parts": parts}, status_code=200 if all(parts.values()) else 503
        )

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        """Prometheus exposition; with `http.metrics_token_file` for whoever has the token."""
        shown = request.headers.get("authorization", "")
        if token and not hmac.compare_digest(shown.encode(), f"Bearer {token}".encode()):
            return Response(status_code=401, headers=CHALLENGE)
        return Response(status.metrics_page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


def _add_refusals(app: FastAPI) -> None:
    """Errors of ours as answers: none quotes what was sent."""

    @app.exception_handler(Issues)
    async def refused(_: Request, error: Issues) -> JSONResponse:
        return JSONResponse(
            {"error": str(error)}, status_code=error.status, headers=headers_of(error.status, error.retry_after_s)
        )

    @app.exception_handler(AccessDenied)
    async def denied(_: Request, error: AccessDenied) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=403)

    @app.exception_handler(ConfigError)
    @app.exception_handler(RegistryError)
    @app.exception_handler(LoraRefused)
    async def unfit(_: Request, error: RadBridgeError) -> JSONResponse:
        """What was asked for can't be as things are: a name that is taken, a key that would open nothing."""
        return JSONResponse({"error": str(error)}, status_code=404 if isinstance(error, NotThere) else 409)

    @app.exception_handler(JournalError)
    async def unavailable(_: Request, __: JournalError) -> JSONResponse:
        log.error("journal unavailable", hint="check the disk and the database")
        return JSONResponse({"error": "the journal is unavailable"}, status_code=503, headers={"retry-after": "5"})

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        places = sorted({".".join(map(str, problem["loc"])) for problem in error.errors()})
        return JSONResponse({"error": f"not as the API wants it: {', '.join(places)}"}, status_code=422)


def _read_token(settings: Http) -> str:
    if settings.metrics_token_file is None:
        return ""
    try:
        return settings.metrics_token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = type(error).__name__
        raise ConfigError([f"http.metrics_token_file: {settings.metrics_token_file}: {why}"]) from None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The gateway handles signals: it has more to close than this port."""
        yield


def _configure(settings: Http, app: Dispatcher) -> uvicorn.Config:
    """No access log: paths and queries may name patients. No `Server` header: it helps only who looks for holes."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=settings.ws_max_bytes,
        ws_ping_interval=20.0,
        timeout_keep_alive=KEEP_ALIVE_S,
        http=watch(AutoHTTPProtocol, settings.request_timeout_s),
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    config.load()
    if settings.tls is not None:
        config.ssl = server_context("http", settings.tls)
    return config


class HttpServer:
    """The HTTP listener."""

    def __init__(self, site: Site, status: Status) -> None:
        self._site = site
        self._settings = site.http
        self._status = status
        self._host, self._port = split_address(site.http.listen)
        self._server: uvicorn.Server | None = None
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """`host:port` as bound."""
        port = self._socket.getsockname()[1] if self._socket else self._port
        return f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"

    @property
    def pings(self) -> Sequence[Ping]:
        """What `radbridge check` tries: our own files, and the provider that people log in at."""
        oidc = self._site.access.oidc
        if oidc is None:
            return (Ping(name="http", ask=self._read),)

        async def ask() -> None:
            await OpenId(oidc, self._status.store).ping()

        return (Ping(name="http", ask=self._read), Ping(name=f"provider {oidc.issuer}", ask=ask))

    async def _read(self) -> None:
        """Make what serves, of all its files. Raises ConfigError."""
        make_app(self._site, self._status)
        if self._settings.tls is not None:
            server_context("http", self._settings.tls)

    async def start(self) -> None:
        """Bind and serve. Raises OSError when the port is taken, ConfigError for a file that can't be used."""
        own = at_most(make_app(self._site, self._status), MAX_BODY_BYTES)
        app = Dispatcher(own, self._status.mounts, self._settings, lambda: self._status.meter.limited("http"))
        server = _Server(_configure(self._settings, app))
        for name, file in find_certificates(self._site):  # of every wire: this port is where it can be read
            self._status.meter.expires(name, partial(expires_at, file))
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((self._host, self._port))
        except OSError:
            self._socket.close()
            self._socket = None
            raise
        self._server = server
        self._task = asyncio.create_task(server.serve(sockets=[self._socket]))
        while not server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Finish what is being answered, at most for five seconds."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.wait([self._task], timeout=5.0)
        if self._socket is not None:
            self._socket.close()
