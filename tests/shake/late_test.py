"""A plugin of pytest: each statement of an async test may come late, so that what is tested goes on meanwhile.

It finds the test that waits until something is so and then counts, exactly, what rightly goes on. Helpers that a test
calls are left alone, and so are its functions within, its `finally` and `except`. Asserts tell less than usual.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import FunctionType

import pytest

from tests.shake.chance import Chance

_NAME = "_come_late"
_chance = Chance(share=0.5, least_s=0.05)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put late ones in the place of async tests."""
    for item in items:
        test = getattr(item, "obj", None)
        if isinstance(item, pytest.Function) and inspect.isfunction(test) and inspect.iscoroutinefunction(test):
            item.obj = make_late(test)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The same test comes as late each time."""
    _chance.begin(item.nodeid)


def make_late(test: FunctionType) -> FunctionType:
    """The same test, with a wait before its statements that may be none."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(test)))
    [function] = tree.body
    assert isinstance(function, ast.AsyncFunctionDef)
    function.decorator_list.clear()
    function.body = _pad(function.body)
    ast.increment_lineno(ast.fix_missing_locations(tree), test.__code__.co_firstlineno - 1)
    names = test.__globals__
    before = names.get(test.__name__)
    names[_NAME] = _chance.come_late
    exec(compile(tree, test.__code__.co_filename, "exec"), names)  # noqa: S102 - our own test, with waits
    made = names[test.__name__]
    names[test.__name__] = before
    made.__dict__.update(test.__dict__)
    assert isinstance(made, FunctionType)
    return made


def _pad(body: list[ast.stmt]) -> list[ast.stmt]:
    """A wait before each statement, and within those that hold others."""
    padded: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.With | ast.AsyncWith | ast.For | ast.AsyncFor | ast.While | ast.If | ast.Try):
            statement.body = _pad(statement.body)
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.Global | ast.Nonlocal):
            wait = ast.Expr(ast.Await(ast.Call(ast.Name(_NAME, ast.Load()), [], [])))
            padded.append(ast.copy_location(wait, statement))
        padded.append(statement)
    return padded
