"""A langgraph.json in any form the ecosystem uses is loaded, and a bad one is refused with file, key and reason."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.failures import Exit, Refused
from app.runtime.graph_config import load_graphs

PROJECT = """
from contextlib import asynccontextmanager, contextmanager
from typing import TypedDict
from langgraph.graph import END, START, StateGraph

class State(TypedDict, total=False):
    text: str

def shout(state: State) -> State:
    return {"text": state["text"].upper()}

builder = StateGraph(State).add_node(shout).add_edge(START, "shout").add_edge("shout", END)
compiled = builder.compile()
number = 5

def plain(): return builder
def configured(config): return builder.compile(name=config["configurable"]["thread_id"])
async def later(): return compiled
async def later_configured(config): return builder
@contextmanager
def opened(): yield builder
@asynccontextmanager
async def opened_later(config): yield compiled
def wrong(): return 5
"""
CONFIG: Any = {"configurable": {"thread_id": "t"}}


@pytest.fixture(autouse=True)
def imports_undone() -> Generator[None]:
    path, environment = list(sys.path), dict(os.environ)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith(("langgraph_project_", "project_", "package_"))]:
        del sys.modules[name]
    os.environ.clear()
    os.environ.update(environment)


def project(folder: Path, graphs: object, module: str | None = None, **keys: object) -> Path:
    name = module or f"project_{uuid4().hex}"
    (folder / f"{name}.py").write_text(PROJECT)
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"dependencies": ["."], "graphs": graphs, **keys}).replace("NAME", name))
    return file


@pytest.mark.parametrize(
    "variable", ["builder", "compiled", "plain", "configured", "later", "later_configured", "opened", "opened_later"]
)
@pytest.mark.parametrize("form", ["./NAME.py:{}", "NAME:{}", "NAME.py:{}"])
@pytest.mark.anyio
async def test_every_form_of_a_graph_runs(tmp_path: Path, variable: str, form: str) -> None:
    [source] = load_graphs(project(tmp_path, {"g": form.format(variable)})).values()
    async with source.open(CONFIG) as graph:
        assert await graph.ainvoke({"text": "hi"}, CONFIG) == {"text": "HI"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_form_with_a_path_key_and_the_order_of_the_file_are_kept(tmp_path: Path) -> None:
    graphs = {"z": {"path": "./NAME.py:builder", "description": "x"}, "a": "./NAME.py:compiled"}
    assert list(load_graphs(project(tmp_path, graphs))) == ["z", "a"]


@pytest.mark.anyio
async def test_a_factory_that_makes_no_graph_fails_its_run(tmp_path: Path) -> None:
    [source] = load_graphs(project(tmp_path, {"g": "./NAME.py:wrong"})).values()
    with pytest.raises(TypeError, match="returned int, not a graph"):
        async with source.open(CONFIG):
            pass


def test_a_file_inside_a_package_may_use_relative_imports(tmp_path: Path) -> None:
    package = tmp_path / f"package_{uuid4().hex}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "parts.py").write_text(PROJECT)
    (package / "agent.py").write_text("from .parts import compiled as graph\n")
    file = tmp_path / "langgraph.json"
    file.write_text(json.dumps({"dependencies": ["."], "graphs": {"g": f"./{package.name}/agent.py:graph"}}))
    assert list(load_graphs(file)) == ["g"]


@pytest.mark.parametrize("module", ["app", "json", "graph-with-dashes"])
def test_a_file_whose_name_is_taken_by_another_package_is_loaded_by_its_path(tmp_path: Path, module: str) -> None:
    taken = sys.modules.get(module)
    assert list(load_graphs(project(tmp_path, {"g": "./NAME.py:compiled"}, module=module))) == ["g"]
    assert sys.modules.get(module) is taken


def test_variables_come_from_the_file_or_the_object_and_never_replace_the_process_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_PROCESS", "kept")
    load_graphs(project(tmp_path, {"g": "./NAME.py:builder"}, env={"OF_THE_PROCESS": "no", "OF_THE_PROJECT": 1}))
    assert (os.environ["OF_THE_PROCESS"], os.environ["OF_THE_PROJECT"]) == ("kept", "1")
    (tmp_path / ".env").write_text("FROM_A_FILE=yes\n")
    load_graphs(project(tmp_path, {"g": "./NAME.py:builder"}, env=".env"))
    assert os.environ["FROM_A_FILE"] == "yes"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("./NAME.py:nothing", "no variable 'nothing'"),
        ("./NAME.py:number", "is a int"),
        ("./missing.py:graph", "no such file"),
        ("./NAME.py", "path/to/file.py:variable"),
        (":graph", "path/to/file.py:variable"),
        (5, "path/to/file.py:variable"),
        ({"description": "no path"}, "path/to/file.py:variable"),
        ("./langgraph.json:graph", "not a Python file"),
    ],
)
def test_a_bad_entry_is_refused_with_file_key_and_reason(tmp_path: Path, entry: object, words: str) -> None:
    file = project(tmp_path, {"g": entry})
    with pytest.raises(Refused) as refused:
        load_graphs(file)
    assert str(file) in str(refused.value)
    assert words in str(refused.value)
    assert refused.value.code == Exit.BAD_INPUT


def test_a_module_that_fails_or_misses_a_package_says_which(tmp_path: Path) -> None:
    for text, words, code in (
        ("import no_such_package_anywhere\n", "'no_such_package_anywhere', which is not installed", Exit.MISSING),
        ("1 / 0\n", "ZeroDivisionError", Exit.BAD_INPUT),
        ("def broken(:\n", "SyntaxError", Exit.BAD_INPUT),
    ):
        (tmp_path / "bad.py").write_text(text)
        file = project(tmp_path, {"g": "./bad.py:graph"})
        with pytest.raises(Refused, match=words) as refused:
            load_graphs(file)
        assert refused.value.code == code
        assert "graphs.g" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "holds a list"),
        ("{}", "at least one graph"),
        ('{"graphs": {}}', "at least one graph"),
        ('{"graphs": ["a"]}', "at least one graph"),
        ('{"graphs": {"g": "./x.py:y"}, "env": "missing.env"}', "env='missing.env'"),
        ('{"graphs": {"g": "./x.py:y"}, "env": 5}', "env: has to be"),
        ('{"graphs": {"g": "./x.py:y"}, "env": {"": 1}}', "env.=1: not a variable"),
        ('{"graphs": {"g": "./x.py:y"}, "env": {"A": "\\u0000"}}', "env.A="),
        ('{"graphs": {"g": "./x.py:y"}, "auth": {"path": "./auth.py:auth"}}', "auth: this service would leave"),
        ('{"graphs": {"g": "./x.py:y"}, "dependencies": "."}', "has to be a list"),
        ('{"graphs": {"g": "./x.py:y"}, "dependencies": ["./missing"]}', "is not a directory"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text(content)
    with pytest.raises(Refused) as refused:
        load_graphs(file)
    assert str(file) in str(refused.value)
    assert words in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"AGENT_CONFIG=.*cannot be read"):
        load_graphs(tmp_path / "langgraph.json")


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
ANY_JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["graphs", "env", "dependencies", "other"]), ANY_JSON),
    st.dictionaries(st.text(max_size=5), ANY_JSON),
)
def test_no_file_ends_in_anything_but_graphs_or_a_refusal(
    tmp_path: Path, content: dict[str, Any], graphs: dict[str, Any]
) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text(json.dumps(content if "graphs" in content else {**content, "graphs": graphs}))
    with pytest.raises(Refused):
        load_graphs(file)


def test_a_dependency_that_is_a_package_itself_is_imported_by_its_name(tmp_path: Path) -> None:
    """LangGraph's own template lies so: my_agent/agent.py imports my_agent.utils."""
    name = f"agent_{uuid4().hex}"
    package = tmp_path / name
    (package / "parts").mkdir(parents=True)
    for folder in (package, package / "parts"):
        (folder / "__init__.py").touch()
    (package / "parts" / "step.py").write_text("def step(state):\n    return state\n")
    (package / "agent.py").write_text(
        f"from langgraph.graph import StateGraph\nfrom {name}.parts.step import step\n"
        "graph = StateGraph(dict).add_node(step).set_entry_point('step')\n"
    )
    file = tmp_path / "langgraph.json"
    file.write_text(json.dumps({"dependencies": [f"./{name}"], "graphs": {"g": f"./{name}/agent.py:graph"}}))
    assert list(load_graphs(file)) == ["g"]
