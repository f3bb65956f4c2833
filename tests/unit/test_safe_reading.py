"""What comes from outside is read as data: nothing in the four packages can be talked into running or unfolding it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("src/radbridge", "adapters/radbridge_adapters", "model_server/radbridge_model_server", "training")
RUNS = frozenset("pickle cPickle _pickle marshal shelve dill cloudpickle joblib jsonpickle imp".split())
"""Modules whose files are programs."""
UNFOLDS = frozenset(
    ("lxml", "xml.dom", "xml.sax", "xml.dom.minidom", "xml.dom.pulldom", "xml.sax.expatreader", "xmlrpc")
)
"""Parsers of XML that resolve entities. `xml.sax.saxutils` only writes."""
READS_XML = frozenset("parse fromstring fromstringlist iterparse XML XMLID XMLParser XMLPullParser".split())
SAFE_YAML = frozenset(
    "safe_load safe_load_all safe_dump safe_dump_all dump YAMLError SafeLoader SafeDumper Node MarkedYAMLError".split()
)
EXPAT = {"adapters/radbridge_adapters/resources/narrative.py": "StartDoctypeDeclHandler"}
"""Who reads XML of others -> what it refuses a DOCTYPE by: without one there are no entities."""
TENSORS = {
    "training/radbridge_training/measures/files.py": "CheXbert is published as a .pth, and no other way",
    "training/radbridge_training/pretrain.py": "its own checkpoint, with the optimizer's state",
}
"""Who may call torch.load, of tensors alone."""


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the four packages."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in files}


def imports(tree: ast.Module) -> Iterator[str]:
    """Names of modules that are imported, wherever: `from a import b` is `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call by its written name: `torch.load`, `open`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def unsafe(tree: ast.Module, file: str = "") -> list[str]:
    """What a module does that it must not."""
    names = set(imports(tree))
    found = [name for name in names if name.split(".")[0] in RUNS or name in UNFOLDS]
    found += [name for name in names if name.startswith("xml.parsers.expat") and file not in EXPAT]
    has_tree = any(name.startswith("xml.etree") for name in names)
    found += [name for name in names if name.startswith("xml.etree") and name.rsplit(".", 1)[-1] in READS_XML]
    for name, call in calls(tree):
        last = name.rsplit(".", 1)[-1]
        given = {key.arg: ast.unparse(key.value) for key in call.keywords}
        if name in {"eval", "exec", "compile", "__import__"}:
            found.append(name)
        if name.startswith("yaml.") and last not in SAFE_YAML:
            found.append(name)
        if has_tree and last in READS_XML and "ast" not in name:
            found.append(name)
        if name.endswith("torch.load") and (file not in TENSORS or given.get("weights_only") != "True"):
            found.append(name)
        if given.get("trust_remote_code", "False") != "False" or given.get("allow_pickle", "False") != "False":
            found.append(f"{name}: {given}")
    return found


def test_nothing_read_from_outside_can_run() -> None:
    """No package opens pickles, YAML with tags, code, or XML that may have entities."""
    assert len(trees()) > 400
    assert {file: found for file, tree in trees().items() if (found := unsafe(tree, file))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from marshal import loads",
        "def f():\n import shelve",
        "import yaml; yaml.load(x)",
        "import yaml; yaml.full_load(x)",
        "import yaml; yaml.unsafe_load_all(x)",
        "from lxml import etree",
        "from xml.dom import minidom",
        "import xml.sax",
        "from xml.etree import ElementTree as ET; ET.fromstring(x)",
        "from xml.etree.ElementTree import iterparse",
        "from xml.parsers import expat",
        "import torch; torch.load(x)",
        "import torch; torch.load(x, weights_only=True)",
        "import numpy; numpy.load(x, allow_pickle=True)",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
        "eval(x)",
    ],
)
def test_the_check_sees(line: str) -> None:
    """Each way to run or unfold what came from outside is found where somebody writes it."""
    assert unsafe(ast.parse(line))


@pytest.mark.parametrize(
    "line", ["import yaml; yaml.safe_load(x)", "from xml.sax.saxutils import escape", "re.compile(x)"]
)
def test_the_check_lets_pass(line: str) -> None:
    """What is harmless is no finding."""
    assert unsafe(ast.parse(line)) == []


@pytest.mark.parametrize(("file", "refusal"), EXPAT.items())
def test_whoever_reads_xml_refuses_declarations(file: str, refusal: str) -> None:
    """Each expat parser that is made is told to refuse a DOCTYPE."""
    source = (ROOT / file).read_text()
    assert source.count("ParserCreate(") == source.count(f".{refusal} =") > 0
