"""RadGraph F1 (Jain et al. 2021; Delbrouck et al. 2022): findings and sites as a graph, read by the authors' package.

The package isn't a dependency: it is installed by whoever has the weights, which need a licence of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from radbridge.errors import ConfigError
from radbridge.evaluation.measure import Figure, ratio
from radbridge.evaluation.rows import Pair
from radbridge_training.measures.files import check_files

MODELS = ("radgraph", "radgraph-xl", "modern-radgraph-xl")
"""What the folder has to be called: the package knows its models by these names."""
Graph = Mapping[str, Any]
Annotate = Callable[[list[str]], Sequence[Graph]]
"""From texts, none of them empty, to their graphs: `entities` by id, each with `tokens`, `label` and `relations`."""


class RadGraphF1:
    """The `partial` reward: an entity is met by its words, its label and whether it has a relation; F1 by report."""

    name = "radgraph"
    typecode: Literal["f"] = "f"
    width = 2
    figures = (Figure(name="radgraph_f1", title="RadGraph F1", estimate=ratio(1, 0)),)

    def __init__(self, annotate: Annotate) -> None:
        self._annotate = annotate

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """One and the F1 of each pair; an empty draft meets nothing."""
        texts = [text for pair in pairs for text in (pair.draft.draft, pair.reference.impression)]
        told = [text for text in texts if text.strip()]
        graphs = iter(self._annotate(told) if told else ())
        entities = [_list_entities(next(graphs)) if text.strip() else frozenset() for text in texts]
        for said, meant in zip(entities[::2], entities[1::2], strict=True):
            total = len(said) + len(meant)
            yield 1.0, 2 * len(said & meant) / total if total else 0.0


def load_radgraph(folder: Path) -> RadGraphF1:
    """The measure with the package's model in `folder`. Raises ConfigError that says what is missing."""
    if find_spec("radgraph") is None:
        raise ConfigError(["--measure radgraph: it needs the authors' package: pip install radgraph"])
    if folder.name not in MODELS:
        raise ConfigError([f"--measure radgraph: call the folder {', '.join(MODELS)}, as its model is called"])
    check_files("radgraph", folder, ("config.json",), ("weights.th",), ("vocabulary",))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # its encoder comes from the local cache, or not at all
    from radgraph import RadGraph

    model = RadGraph(model_type=folder.name, model_cache_dir=str(folder.parent))

    def annotate(texts: list[str]) -> Sequence[Graph]:
        found = model(texts)
        return [found[str(number)] for number in range(len(texts))]

    return RadGraphF1(annotate)


def _list_entities(graph: Graph) -> frozenset[tuple[str, str, bool]]:
    return frozenset((e["tokens"].lower(), e["label"], bool(e["relations"])) for e in graph["entities"].values())
