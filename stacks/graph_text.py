"""A graph as text and back, whole: how the base commit's graph comes from the process that runs its program."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, cast

from google.protobuf import json_format, struct_pb2

from stacks.graph import Graph, Options, Resource
from stacks.wire import decode, encode

FORMAT = 1


def to_text(graph: Graph) -> str:
    """One JSON object. Secret values are in it: for a pipe, never for a file that is kept."""
    return json.dumps(
        {
            "format": FORMAT,
            "stack": graph.stack,
            "preview": graph.preview,
            "exports": _wired(graph.exports),
            "resources": [
                {
                    **{field.name: getattr(row, field.name) for field in fields(Resource)},
                    "inputs": _wired(row.inputs),
                    "outputs": _wired(row.outputs),
                    "options": asdict(row.options),
                }
                for row in graph
            ],
        }
    )


def from_text(text: str) -> Graph:
    """The graph of ``to_text``. Raises ValueError for what another version of the project wrote."""
    document: Any = json.loads(text)
    if not isinstance(document, dict) or "format" not in document or document["format"] != FORMAT:
        raise ValueError(f"the graph is not of format {FORMAT}")
    document = cast("dict[str, Any]", document)
    try:
        rows = tuple(_resource(row) for row in cast("list[dict[str, Any]]", document["resources"]))
        return Graph(str(document["stack"]), bool(document["preview"]), rows, _plain(document["exports"]))
    except (KeyError, TypeError, AttributeError) as failure:
        raise ValueError(f"the graph cannot be read ({type(failure).__name__}: {failure})") from None


def _resource(row: dict[str, Any]) -> Resource:
    links = cast("dict[str, list[str]]", row["property_dependencies"])
    options: dict[str, Any] = {key: _tuple(value) for key, value in row["options"].items()}
    whole: dict[str, Any] = {
        **row,
        "inputs": _plain(row["inputs"]),
        "outputs": _plain(row["outputs"]),
        "dependencies": tuple(row["dependencies"]),
        "property_dependencies": {key: tuple(urns) for key, urns in links.items()},
        "options": Options(**options),
    }
    return Resource(**whole)


def _tuple(value: Any) -> Any:
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def _wired(values: Any) -> Any:
    return json_format.MessageToDict(encode(values))


def _plain(values: Any) -> Any:
    return decode(json_format.ParseDict(values, struct_pb2.Struct()))
