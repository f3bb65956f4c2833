"""Logs: one JSON document a line on standard error, and no patient in any of them (rule 5).

A value passes only under a key that is listed here as harmless. Identifiers under known keys become short references
that hold for one run, so that an operator can follow a case without learning whose it is. Everything else is replaced
by `[redacted]`. What passes goes through a second net that looks for the shapes of identifiers.

Exceptions are shown as types and places. Only a `RadBridgeError` shows its message: a foreign one may quote the very
bytes that broke it. Other libraries' log texts pass only where the source code holds them word for word.
"""

from __future__ import annotations

import errno
import hashlib
import json
import linecache
import logging
import re
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from radbridge.errors import RadBridgeError

REDACTED = "[redacted]"

FREE = frozenset(
    """event logger level reason where what kind wire peer address host port url file destination purpose stage
    state outcome code status fallback problems lora model base_digest findings_digest prompt_version
    contract_version version radiologist draft_id message_id request_id edit_id attempt attempts at_most
    retry_in_s wait_s deadline_s timeout_s ms timings_ms elapsed_s size bytes count messages cases drafts
    deliveries edits connections limit pid part signal rc strategy method route engine device replicas
    listeners sinks wires task thread hint looks_like value_type failed interaction resource_type scope client
    subscription topic_ref event_name issue_code ae_title sop_class transfer_syntax associations
    state_name owner pairs harm step gateway lease epoch bucket buckets lane tries actor role
    seq head key_id rows until mode expected""".split()
)
"""Keys whose values may be shown."""
REFERENCES = frozenset("accession case control_id sender key patient_id placer filler study".split())
"""Keys whose values become references: the same value the same reference, in one run."""

_LEAST = {
    "httpx": logging.WARNING,  # a line for every draft says nothing new
    "httpcore": logging.WARNING,
    "pydicom": logging.ERROR,  # these tell of every value that they find odd
    "pynetdicom": logging.ERROR,
    "dicomweb_client": logging.ERROR,
    "retrying": logging.ERROR,
}
"""Other libraries' loggers -> the least level of theirs that is heard at all."""
_RUN_KEY = secrets.token_bytes(16)
_KEY = re.compile(r"[a-z_][a-z0-9_]{0,40}")

# The second net: what identifiers look like.
_SHAPES = re.compile(
    r"""
      \b(?:[A-Z][A-Z0-9]{2}\||(?:MSH|PID|PV1|ORC|OBR|OBX|NTE|TXA|MRG|MSA|ERR|NK1)[~&$%!\#^\\])[^\n\r]*
                                                            # an HL7 segment, to the end of its line
    | [\w.+-]+@[\w-]+\.[\w.-]+                              # an e-mail address
    | (?<=://)[^/@\s]+(?=@)                                 # credentials in a URL
    | (?<=\w)\?[^\s"']*=[^\s"']*                            # the query of a URL
    | \b(?![A-Z]{3}\^[A-Z]\d\d\b)[A-Za-z][A-Za-z'’-]+\^[^\s|]* # a name by components, not ORU^R01
    | (?<![\w@/.-])[A-Za-z]{0,4}\d{6,}(?![\w-])             # an MRN, an accession, a date without separators
    | (?<![\d.])(?:\d{4}([-/.])\d{1,2}\1\d{1,2}|\d{1,2}([-/.])\d{1,2}\2(?:\d{4}|\d\d))(?![\d.:])  # a date
    | (?<!\d)(?:\(\d{3}\)\s?|\d{3}[-.\s])\d{3}[-.\s]\d{4}\b # a phone number
    | (?<!\d)\d{3}-\d{2}-\d{4}\b                            # a social security number
    """,
    re.VERBOSE,
)


def configure(*, level: str = "info", format: str = "json", stream: TextIO | None = None) -> None:
    """Send structlog, the standard library's logging and uncaught exceptions through the redaction, to `stream`.

    `level` is a name of the standard library's, `format` is `json` or `console`, `stream` is standard error unless
    given. Calling it again replaces what the last call set up.
    """
    out: Any = stream or _StandardError()
    ending: list[Processor] = [*_ENDING, _renderer(format, out)]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(_foreign_formatter(ending))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        own = logging.getLogger(name)
        own.handlers.clear()
        own.propagate = True
    for name, least in _LEAST.items():
        logging.getLogger(name).setLevel(least)
    sys.excepthook = _report_uncaught
    threading.excepthook = _report_thread


class _StandardError:
    """Standard error as it is when something is written, wherever that has been led meanwhile."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor: `event` with nothing in it that may identify a patient."""
    return {key if _KEY.fullmatch(key) else REDACTED: _redact_value(key, value) for key, value in event.items()}


def is_log_line(text: str) -> bool:
    """Whether another process's line is one of these logs, which has no patient in it; other output may."""
    try:
        said = json.loads(text)
    except ValueError:
        return False
    return isinstance(said, dict) and "event" in said and "level" in said


def describe(error: BaseException) -> str:
    """`error` in one line that may be logged: its type, and its message where that is one of ours."""
    name = type(error).__qualname__
    if isinstance(error, RadBridgeError):
        return f"{name}: {_scrub(str(error))}"
    if isinstance(error, OSError) and error.errno:
        return f"{name} ({errno.errorcode.get(error.errno, error.errno)})"
    return name


def _redact_value(key: str, value: Any) -> Any:
    if key in REFERENCES:
        return _refer(value)
    if isinstance(value, BaseException):
        return describe(value)
    if key == "exception":
        return value
    if isinstance(value, bool) or value is None:
        return value
    if key not in FREE:
        return REDACTED
    return _clean(value)


def _clean(value: Any) -> Any:
    """What a harmless key holds: plain values and collections of them; any other object only by its type."""
    match value:
        case str() | PurePath():
            return _scrub(str(value))
        case bool() | int() | float() | None:
            return value
        case BaseException():
            return describe(value)
        case Mapping():
            return {_scrub(str(k)): _clean(v) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(v) for v in value]
        case _:
            return REDACTED


def _refer(value: Any) -> str:
    return "#" + hashlib.blake2b(str(value).encode(), key=_RUN_KEY, digest_size=5).hexdigest()


def _scrub(text: str) -> str:
    return _SHAPES.sub(REDACTED, text)


def _render_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """`exc_info` as types and places, without any message but our own."""
    told = event.pop("exc_info", None)
    error = sys.exc_info()[1] if told is True else told[1] if isinstance(told, tuple) else told
    event.pop("exception", None)
    if isinstance(error, BaseException):
        event["exception"] = "\n".join(_lines(error))
    event.pop("stack_info", None)
    return event


def _lines(error: BaseException, indent: str = "") -> Iterator[str]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield indent + describe(cause)
        yield from (f"{indent}  {frame}" for frame in _frames(cause.__traceback__))
        if isinstance(cause, BaseExceptionGroup):
            for inner in cause.exceptions:
                yield from _lines(inner, indent + "  | ")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        if cause is not None:
            yield f"{indent}after"


def _frames(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield f"{'/'.join(PurePath(code.co_filename).parts[-2:])}:{traceback.tb_lineno} {code.co_name}"
        traceback = traceback.tb_next


def _read_foreign(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A record of another library: its text where the source holds it so, never the arguments."""
    record: logging.LogRecord = event["_record"]
    event["event"] = record.msg if _stands_in_source(record) else REDACTED
    event["logger"] = record.name
    event["where"] = f"{'/'.join(PurePath(record.pathname).parts[-2:])}:{record.lineno}"
    event["exc_info"] = record.exc_info
    return event


def _stands_in_source(record: logging.LogRecord) -> bool:
    """Whether the text is a literal of the calling statement: then it can't hold what came over a wire."""
    if not isinstance(record.msg, str) or not record.msg.strip():
        return False
    statement = "".join(linecache.getline(record.pathname, record.lineno + i) for i in range(4))
    return any(f"{quote}{record.msg}{quote}" in statement for quote in "\"'")


_ENDING: Sequence[Processor] = (
    _render_exception,
    redact,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
)


def _renderer(form: str, out: TextIO) -> Processor:
    if form == "console":
        return structlog.dev.ConsoleRenderer(colors=out.isatty(), timestamp_key="at")
    return structlog.processors.JSONRenderer(ensure_ascii=False)


def _foreign_formatter(ending: Sequence[Processor]) -> logging.Formatter:
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        processors=[drop, *ending],
        foreign_pre_chain=[structlog.stdlib.add_log_level, _read_foreign],
    )


def _report_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    structlog.get_logger("radbridge").critical("uncaught exception", exc_info=error)


def _report_thread(args: threading.ExceptHookArgs) -> None:
    structlog.get_logger("radbridge").critical("uncaught exception in a thread", exc_info=args.exc_value)
