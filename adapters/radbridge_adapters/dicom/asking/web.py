"""The PACS over HTTP: QIDO-RS and WADO-RS metadata (PS3.18 10.6, 10.4), through dicomweb-client.

dicomweb-client speaks through `requests`, whose time limits start anew with every byte. So it runs in a thread of our
own executor, and its requests come back to the event loop: there one deadline and one size hold for each of them.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import httpx
from pydicom.dataset import Dataset

from radbridge.config import Dicomweb
from radbridge.errors import ConfigError, DeliveryError, DeliveryFailed, DeliveryRefused
from radbridge_adapters.dicom.asking.asked import Wanted, keep_json
from radbridge_adapters.dicom.asking.cache import Asking
from radbridge_adapters.dicom.asking.priors_query import MOST_SERIES, MOST_STUDIES, SERIES, STUDY
from radbridge_adapters.dicom.encoding.values import tag_of
from radbridge_adapters.rest.client import make_http
from radbridge_adapters.security.tls import client_context

if TYPE_CHECKING:
    from dicomweb_client.web import DICOMwebClient
    from requests import PreparedRequest, Response
    from requests.adapters import BaseAdapter

NAME = "dicomweb"
MAX_ANSWER_BYTES = 16 * 2**20
_SPARE_S = 5.0
"""How long after the deadline a thread still waits for the event loop, which may have been closed meanwhile."""
_BODY_PART = f"{tag_of('BodyPartExamined'):08X}"
EXTRA = "dicom.dicomweb needs dicomweb-client: pip install 'radbridge[dicomweb]'"
_AGAIN = frozenset((401, 403, 408, 409, 425, 429))
"""Besides 5xx: what may be otherwise at the next try. 401 and 403: a token that is renewed in its file."""

Answers = list[dict[str, Any]]
Question = Callable[["DICOMwebClient"], Answers]


class WebArchive:
    """A DICOMweb server."""

    def __init__(self, web: Dicomweb, *, asking: Asking[Dataset]) -> None:
        """Raises ConfigError when dicomweb-client isn't installed, or the authorities' file can't be used."""
        try:
            import dicomweb_client.web
        except ImportError:
            raise ConfigError([EXTRA]) from None
        client_context(NAME, web)
        self._make_client = dicomweb_client.web.DICOMwebClient
        self._web = web
        self._asking = asking
        self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix=NAME)

    async def studies(self, patient_id: str) -> tuple[Dataset, ...]:
        """QIDO-RS for studies, by PatientID."""

        def ask(client: DICOMwebClient) -> Answers:
            return client.search_for_studies(
                fields=list(STUDY), search_filters={"PatientID": patient_id}, limit=MOST_STUDIES
            )

        return await self._asking.ask(f"studies {patient_id}", partial(self._ask, ask, STUDY))

    async def series(self, study_uid: str) -> tuple[Dataset, ...]:
        """QIDO-RS for series; where none tells its body part, WADO-RS metadata of an instance of the first."""

        def ask(client: DICOMwebClient) -> Answers:
            found = client.search_for_series(study_uid, fields=list(SERIES), limit=MOST_SERIES)
            if found and not any(_BODY_PART in series for series in found):
                series_uid = _value(found[0], "SeriesInstanceUID")
                if instances := client.search_for_instances(study_uid, series_uid, limit=1):
                    instance_uid = _value(instances[0], "SOPInstanceUID")
                    found[0] = client.retrieve_instance_metadata(study_uid, series_uid, instance_uid)
            return found

        return await self._asking.ask(f"series {study_uid}", partial(self._ask, ask, SERIES))

    async def ping(self) -> None:
        """A QIDO-RS query for one study. Raises DeliveryFailed, DeliveryRefused."""
        await self._ask(lambda client: client.search_for_studies(limit=1), STUDY)

    async def _ask(self, question: Question, wanted: Wanted) -> tuple[Dataset, ...]:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._web.timeout_s
        web = self._web
        async with make_http(NAME, web.url, timeout_s=web.timeout_s, trust=web) as http:
            fetch = _Fetch(http=http, ends_at=ends_at, loop=loop, credentials=_credentials(web))
            answers = await loop.run_in_executor(self._executor, self._call, question, fetch)
        return tuple(keep_json(answer, wanted) for answer in answers)

    def _call(self, question: Question, fetch: _Fetch) -> Answers:
        """In the executor's thread: dicomweb-client makes the requests of a question and reads the answers."""
        import requests

        with requests.Session() as session:
            session.mount("http://", _adapter(fetch))
            session.mount("https://", _adapter(fetch))
            client = self._make_client(self._web.url, session=session)
            client.set_http_retry_params(retry=False)
            try:
                answers = question(client)
            except requests.HTTPError:
                raise fetch.failures[0] from None
            except (requests.RequestException, ValueError, TypeError, KeyError, IndexError):
                raise DeliveryFailed(NAME, "the server sent what is no DICOM JSON") from None
        if not all(isinstance(answer, dict) for answer in answers):
            raise DeliveryFailed(NAME, "the server sent what is no DICOM JSON")
        return answers


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fetch:
    """Makes the requests of one question on the event loop."""

    http: httpx.AsyncClient
    ends_at: float
    """By the loop's clock."""
    loop: asyncio.AbstractEventLoop
    credentials: Mapping[str, str] = field(repr=False)
    failures: list[DeliveryError] = field(default_factory=list)
    """What went wrong. It must not pass through dicomweb-client, which logs its transport's exceptions whole."""

    def __call__(self, url: str, accept: str) -> tuple[int, bytes]:
        """From another thread: the status and the body; 503 for a failure, which is noted."""
        getting = asyncio.run_coroutine_threadsafe(self._get(url, accept), self.loop)
        try:
            return httpx.codes.OK, getting.result(self.ends_at + _SPARE_S - self.loop.time())
        except DeliveryError as error:
            self.failures.append(error)
        except TimeoutError:
            self.failures.append(DeliveryFailed(NAME, "gave no answer (TimeoutError)"))
        return httpx.codes.SERVICE_UNAVAILABLE, b""

    async def _get(self, url: str, accept: str) -> bytes:
        """The body of a good answer. A redirection is none: our credentials go nowhere else."""
        body = bytearray()
        headers = {"accept": accept, **self.credentials}
        try:
            async with asyncio.timeout_at(self.ends_at), self.http.stream("GET", url, headers=headers) as answer:
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise DeliveryFailed(NAME, f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise DeliveryFailed(NAME, f"can't be reached ({type(error).__name__})", sent=False) from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise DeliveryFailed(NAME, f"gave no answer ({type(error).__name__})") from None
        if not answer.is_success:
            raise _refusal(answer.status_code)
        return bytes(body)


def _adapter(fetch: _Fetch) -> BaseAdapter:
    """The transport of a `requests.Session` whose requests `fetch` makes."""
    import requests
    from requests.adapters import BaseAdapter

    class Adapter(BaseAdapter):
        def send(self, request: PreparedRequest, *args: object, **options: object) -> Response:
            answer = requests.Response()
            answer.status_code, body = fetch(str(request.url), str(request.headers["Accept"]))
            answer.raw, answer.request, answer.url = BytesIO(body), request, str(request.url)
            return answer

        def close(self) -> None:
            """Nothing is kept open."""

    return Adapter()


def _credentials(web: Dicomweb) -> dict[str, str]:
    """The header that proves who we are, from the file as it is now."""
    file = web.token_file or web.basic_file
    if file is None:
        return {}
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise DeliveryFailed(NAME, f"{file} can't be read", sent=False) from None
    if web.token_file is not None:
        return {"authorization": f"Bearer {secret}"}
    return {"authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}


def _refusal(status: int) -> DeliveryFailed | DeliveryRefused:
    kind = DeliveryFailed if status in _AGAIN or status >= httpx.codes.INTERNAL_SERVER_ERROR else DeliveryRefused
    return kind(NAME, f"HTTP {status}")


def _value(answer: Mapping[str, Any], keyword: str) -> str:
    return str(answer[f"{tag_of(keyword):08X}"]["Value"][0])
