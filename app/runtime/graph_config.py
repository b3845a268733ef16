"""Imports the graphs that a langgraph.json declares."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from dotenv import dotenv_values
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from app.failures import Exit, Refused
from app.image.langgraph_keys import refuse_unserved
from app.runtime.project_file import read_project

AnyGraph = Pregel[Any, Any, Any, Any]


@dataclass(frozen=True)
class GraphSource:
    """What one entry of `graphs` names: a graph, or a function that makes one for each run."""

    name: str
    value: object

    @cached_property
    def _made(self) -> object:
        """A graph that is there already is compiled once."""
        value = self.value
        return _compiled(self.name, cast("object", value)) if isinstance(value, StateGraph) else value

    @asynccontextmanager
    async def open(self, config: RunnableConfig) -> AsyncGenerator[AnyGraph]:
        """The graph for one run. A factory may be sync or async, take the run's config, or be a context manager."""
        made = self._made
        if not _is_graph(made) and callable(made):
            made = made(config) if inspect.signature(made).parameters else made()
        if inspect.isawaitable(made):
            made = await made
        if isinstance(made, AbstractAsyncContextManager):
            async with cast("AbstractAsyncContextManager[object]", made) as entered:
                yield _compiled(self.name, entered)
        elif isinstance(made, AbstractContextManager):
            with cast("AbstractContextManager[object]", made) as entered:
                yield _compiled(self.name, entered)
        else:
            yield _compiled(self.name, made)


def load_graphs(file: Path) -> dict[str, GraphSource]:
    """Every graph of the file in its order; refuses a bad entry with file, key and reason."""
    content = read_project(file)
    refuse_unserved(str(file), content)
    graphs = content.get("graphs")
    if not isinstance(graphs, dict) or not graphs:
        raise Refused(f'{file}: graphs={graphs!r}: has to name at least one graph, as {{"name": "./file.py:graph"}}.')
    _set_environment(file, content.get("env", {}))
    _add_import_paths(file, content.get("dependencies", []))
    entries = cast("dict[str, object]", graphs)
    return {name: GraphSource(name, _resolve(file, name, entry)) for name, entry in entries.items()}


def _set_environment(file: Path, env: object) -> None:
    """The project's variables; the process's own go before them."""
    if isinstance(env, str):
        path = file.parent / env
        if not path.is_file():
            raise Refused(f"{file}: env={env!r}: no such file. Correct the path or remove the key.")
        values: Mapping[object, object] = cast("Mapping[object, object]", dotenv_values(path))
    elif isinstance(env, dict):
        values = cast("dict[object, object]", env)
    else:
        raise Refused(f"{file}: env: has to be an object or the path of a .env file, not {type(env).__name__}.")
    for name, value in values.items():
        if value is None:
            continue
        try:
            os.environ.setdefault(str(name), str(value))
        except (ValueError, OSError):
            raise Refused(f"{file}: env.{name}={value!r}: not a variable a process can have. Correct it.") from None


def _add_import_paths(file: Path, dependencies: object) -> None:
    """Local dependencies become importable, as they would be installed; published ones have to be installed."""
    if not isinstance(dependencies, list):
        raise Refused(f'{file}: dependencies={dependencies!r}: has to be a list, such as ["."].')
    for dependency in cast("list[object]", dependencies):
        if isinstance(dependency, str) and dependency.startswith("."):
            directory = (file.parent / dependency).resolve()
            if not directory.is_dir():
                raise Refused(f"{file}: dependencies: {dependency!r} is not a directory. Correct the path.")
            # A folder that is a package itself is imported by its name, from where it lies.
            package = (directory.parent,) if (directory / "__init__.py").is_file() else ()
            for path in (*package, directory, directory / "src"):
                if path.is_dir() and str(path) not in sys.path:
                    sys.path.append(str(path))


def _resolve(file: Path, name: str, entry: object) -> object:
    where = f"{file}: graphs.{name}={entry!r}"
    value = load_object(file, where, cast("dict[str, object]", entry).get("path") if isinstance(entry, dict) else entry)
    if not _is_graph(value) and not callable(value):
        raise Refused(
            f"{where}: is a {type(value).__name__}. Name a StateGraph, a compiled graph, or a function that makes one."
        )
    return value


def load_object(file: Path, where: str, target: object) -> object:
    """What the project calls by `target`; `where` says which key asks for it."""
    module_name, colon, attribute = target.rpartition(":") if isinstance(target, str) else ("", "", "")
    if not (module_name and colon and attribute):
        raise Refused(f"{where}: has to be 'path/to/file.py:variable' or 'package.module:variable'.")
    try:
        module = _import(file, module_name)
    except Refused:
        raise
    except ModuleNotFoundError as failure:
        raise Refused(
            f"{where}: needs the module {failure.name!r}, which is not installed. Install the project's dependencies.",
            Exit.MISSING,
        ) from failure
    except Exception as failure:
        raise Refused(f"{where}: its module fails when imported: {type(failure).__name__}: {failure}") from failure
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise Refused(f"{where}: {module_name} has no variable {attribute!r}. Correct the name.") from None


def _import(file: Path, module_name: str) -> ModuleType:
    if not (module_name.endswith(".py") or "/" in module_name):
        return importlib.import_module(module_name)
    path = (file.parent / module_name).resolve()
    if not path.is_file():
        raise Refused(f"{file}: {module_name}: no such file. Paths are relative to the langgraph.json.")
    return _by_package_name(path) or _by_path(path)


def _by_package_name(path: Path) -> ModuleType | None:
    """As a module of its package where it has one: relative imports work, and nothing is imported twice."""
    for root in map(Path, sys.path):
        if not path.is_relative_to(root):
            continue
        parts = path.relative_to(root).with_suffix("").parts
        dotted = ".".join(parts)
        if not all(part.isidentifier() for part in parts):
            continue
        try:
            spec = importlib.util.find_spec(dotted)
        except (ImportError, ValueError):
            continue  # another package of the same name comes first on the path
        if spec and spec.origin and Path(spec.origin) == path:
            return importlib.import_module(dotted)
    return None


def _by_path(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"langgraph_project_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise Refused(f"{path}: is not a Python file. Name a .py file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and checkpoints look their module up
    spec.loader.exec_module(module)
    return module


def _is_graph(value: object) -> bool:
    return isinstance(value, Pregel | StateGraph)


def _compiled(name: str, made: object) -> AnyGraph:
    if isinstance(made, StateGraph):
        return cast("StateGraph[Any, Any, Any, Any]", made).compile(name=name)
    if isinstance(made, Pregel):
        return cast("AnyGraph", made)
    raise TypeError(f"graph {name}: its function returned {type(made).__name__}, not a graph")
