"""The model server on a Ray cluster of two nodes, made by the commands of deploy/two-nodes.md, and the real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from radbridge.contract import OWNER_HEADER
from tests.support.dictation import Dictation, listening
from tests.support.gateway import GatewayProcess, free_port
from tests.support.ris import Ris

DEPLOY = Path(__file__).parents[2] / "deploy"
HEAD, NODE = "127.0.0.2", "127.0.0.3"
START_S = 600
REPORTS = 100
DEADLINE_S = 600
"""Two cores draft for two machines here; how fast is not the question."""
SENDERS = 4
OWNERS = [f"rad/{n}" for n in range(1001, 1013)]
CASE = {"id": "c1", "findings": "There is a 12 mm nodule in the right upper lobe. No pleural effusion."}
SUPERVISED = """
import subprocess, sys
from radbridge_model_server.supervise import supervise
sys.exit(supervise(lambda: subprocess.call(sys.argv[1:])))
"""
"""Runs a command. SIGTERM to it is SIGKILL to every process that came of the command, daemons too."""

pytestmark = pytest.mark.timeout(1800)


class Cluster:
    """Two nodes, each with an address of its own on loopback. The recipe's commands start them and the server."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._recipe = (DEPLOY / "two-nodes.md").read_text()
        self._folder = folder
        self.url = f"http://{HEAD}:{free_port()}"
        (folder / "ray.token").write_text(secrets.token_hex(32))
        (folder / "model.yaml").write_text(yaml.safe_dump(settings))
        self._replace = {
            "10.0.0.7": HEAD,
            "10.0.0.8": NODE,
            ":6379": (gcs := f":{free_port()}"),
            "port=6379": f"port{gcs.replace(':', '=')}",
            ":8265": (dashboard := f":{free_port()}"),
            "port=8265": f"port{dashboard.replace(':', '=')}",
            "/etc/radbridge": str(folder),
            "deploy/serve.yaml": str(self._write_serve_config()),
        }
        self._dashboard = f"http://{HEAD}{dashboard}"
        self._environment = os.environ | self._read_environment()
        self._environment.pop("RAY_AUTH_TOKEN", None)  # another test's own Ray's, and it would win over the file
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Returns when both nodes are there and two replicas draft."""
        limits = ("--num-cpus=2", "--object-store-memory=100000000")
        head = ("--ray-client-server-port", str(free_port()), "--temp-dir", str(self._folder / "ray"))
        self._start_node(HEAD, *self._command("ray start --head"), *limits, *head)
        self.until(lambda: self._nodes_up() == {HEAD}, "head")
        self._start_node(NODE, *self._command("ray start --address"), *limits)
        self.until(lambda: self._nodes_up() == {HEAD, NODE}, "second node")
        self.deploy()
        self.await_replicas(HEAD, NODE)

    def deploy(self) -> None:
        """The recipe's `serve deploy`."""
        subprocess.run(self._command("serve deploy"), env=self._environment, check=True, capture_output=True)

    def freeze(self, node: str) -> None:
        """SIGSTOP to every process of the node: it takes requests and doesn't answer."""
        for pid in _descendants(self._nodes[node].pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def kill(self, node: str) -> None:
        """SIGKILL to every process of the node."""
        process = self._nodes.pop(node)
        process.send_signal(signal.SIGTERM)
        process.wait(START_S)

    def stop(self) -> None:
        for node in list(self._nodes):
            self.kill(node)

    def replicas(self) -> set[str]:
        """The replicas that Serve says are running, as they name themselves."""
        status = self._ask("/api/serve/applications/")["applications"].get("radbridge", {})
        running = status.get("deployments", {}).get("drafts", {}).get("replicas", [])
        return {f"{r['replica_id']}@{r['node_ip']}" for r in running if r["state"] == "RUNNING"}

    def await_replicas(self, *nodes: str) -> None:
        """Returns when the replicas that Serve says are running are on just these nodes, one on each."""
        where = sorted(nodes)
        self.until(lambda: sorted(name.partition("@")[2] for name in self.replicas()) == where, f"replicas on {where}")

    def _nodes_up(self) -> set[str]:
        nodes = self._ask("/nodes?view=summary")["data"]["summary"]
        return {n["ip"] for n in nodes if n["raylet"].get("state") == "ALIVE"}

    def _ask(self, path: str) -> Any:
        token = (self._folder / "ray.token").read_text()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(self._dashboard + path, headers=headers, trust_env=False, timeout=10).json()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            # The dashboard may not be there yet, or not all of it.
            with contextlib.suppress(httpx.HTTPError, KeyError, TypeError, ValueError):
                if condition():
                    return
            assert all(node.poll() is None for node in self._nodes.values()), self._logs()
            time.sleep(0.2)
        raise AssertionError(f"no {what} after {START_S} s\n{self._logs()}")

    def _start_node(self, node: str, *command: str) -> None:
        with (self._folder / f"{node}.log").open("wb") as log:
            self._nodes[node] = subprocess.Popen(
                [sys.executable, "-c", SUPERVISED, *command], env=self._environment, stdout=log, stderr=log
            )

    def _logs(self) -> str:
        return "\n".join(log.read_text()[-2000:] for log in self._folder.glob("*.log"))

    def _command(self, beginning: str) -> list[str]:
        """The recipe's one command that begins so, with this cluster's addresses, ports and paths."""
        [line] = re.findall(rf"^{beginning}.*$", self._recipe, re.MULTILINE)
        program, *rest = shlex.split(self._put_in(line))
        return [str(Path(sys.executable).with_name(program)), *rest]

    def _read_environment(self) -> dict[str, str]:
        settings = re.findall(r"^([A-Za-z_]+)=(\S+)", self._recipe, re.MULTILINE)
        # Two busy cores aren't two machines: only a refused connection is to count as a dead node here.
        return {key: self._put_in(value) for key, value in settings} | {"RAY_health_check_timeout_ms": "600000"}

    def _put_in(self, text: str) -> str:
        for theirs, ours in self._replace.items():
            text = text.replace(theirs, ours)
        return text

    def _write_serve_config(self) -> Path:
        config = yaml.safe_load((DEPLOY / "serve.yaml").read_text())
        config["http_options"] = {"host": HEAD, "port": httpx.URL(self.url).port}
        config["applications"][0]["args"]["config"] = str(self._folder / "model.yaml")
        path = self._folder / "serve.yaml"
        path.write_text(yaml.safe_dump(config))
        return path


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    settings = {"deadline_s": DEADLINE_S, "scale": {"min_replicas": 2, "max_replicas": 2, "spread": 1}}
    # Ray's sockets need a short path.
    with tempfile.TemporaryDirectory(prefix="rb-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        running = Cluster(Path(folder), settings)
        try:
            running.start()
            yield running
        finally:
            running.stop()


async def ask(url: str, owners: Sequence[str]) -> dict[str, set[str]]:
    """Who drafts for whom, asked a few times."""
    seen: dict[str, set[str]] = {owner: set() for owner in owners}
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=DEADLINE_S) as http:

        async def draft(owner: str) -> None:
            headers = {OWNER_HEADER: owner} if owner else {}
            answer = await http.post("/v1/drafts", json=CASE, headers=headers)
            assert answer.status_code == 200, answer.text
            seen[owner].add(answer.headers["x-replica"])

        await asyncio.gather(*(draft(owner) for owner in owners for _ in range(8)))
    return seen


async def find_homes(url: str) -> dict[str, set[str]]:
    """`ask` for every owner, who has `spread` homes, here one.

    Again where a starved replica was too slow to say how busy it is and was passed over.
    """
    async with asyncio.timeout(START_S):
        while True:
            homes = await ask(url, OWNERS)
            if all(len(home) == 1 for home in homes.values()):
                return homes


async def send_all(port: int, accessions: Sequence[str]) -> None:
    """Reports of all owners over several connections, as fast as they are acknowledged."""
    await asyncio.gather(*(_send(port, accessions[n::SENDERS]) for n in range(SENDERS)))


async def _send(port: int, accessions: Sequence[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number, accession in enumerate(accessions):
        signer = OWNERS[number % len(OWNERS)].removeprefix("rad/")
        writer.write(b"\x0b" + Ris(accession=accession, signer=f"{signer}^HOUSE^GREGORY").dictated() + b"\x1c\r")
        assert b"\rMSA|AA|" in await reader.readuntil(b"\x1c\r")
    writer.close()
    await writer.wait_closed()


async def test_a_node_dies_under_load_and_no_draft_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    """Every report gets its one draft though half the cluster hangs, then dies; its replica comes back elsewhere."""
    homes = await find_homes(cluster.url)
    replicas = set.union(*homes.values())
    assert replicas == cluster.replicas()
    free = set[str]()
    async with asyncio.timeout(START_S):
        while free != replicas:  # without an owner, whoever is free
            free |= (await ask(cluster.url, [""]))[""]

    accessions = [f"S{n:05d}" for n in range(REPORTS)]
    model = f'url = "{cluster.url}"\ndeadline_s = {DEADLINE_S}'
    async with listening() as dictation, GatewayProcess(tmp_path, [dictation.port], model=model) as gateway:
        first = asyncio.create_task(send_all(gateway.hl7_port, accessions[: REPORTS // 2]))
        await dictation.until(REPORTS // 10, within_s=DEADLINE_S)
        cluster.freeze(NODE)
        await first
        await send_all(gateway.hl7_port, accessions[REPORTS // 2 :])
        await drafts_rest(dictation)
        assert len(dictation.messages) < REPORTS, "no draft was under way on the node"
        await asyncio.to_thread(cluster.kill, NODE)
        confirmed = "SELECT count(*) FROM delivery WHERE destination = 'dictation' AND state = 'confirmed'"
        await gateway.until(confirmed, REPORTS, within_s=DEADLINE_S)
        assert gateway.query("SELECT count(*) FROM draft WHERE state <> 'current'") == [(0,)]
        check_drafts(dictation, accessions)

    await asyncio.to_thread(cluster.await_replicas, HEAD, HEAD)


async def drafts_rest(dictation: Dictation) -> None:
    """Wait until no more drafts come."""
    seen = -1
    while seen != len(dictation.messages):
        seen = len(dictation.messages)
        await asyncio.sleep(0.5)


def check_drafts(dictation: Dictation, accessions: Sequence[str]) -> None:
    delivered = Counter(str(m.segment("OBR")[18]) for m in dictation.messages)
    assert delivered == dict.fromkeys(accessions, 1)
    assert len(set(dictation.control_ids())) == len(accessions)
    assert all(dictation.impressions(accession) for accession in accessions)


def _descendants(pid: int) -> set[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found
