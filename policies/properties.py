"""A resource's properties as checks read them: a value, absent, or a signal that it is not known or not well formed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from stacks.graph import UNKNOWN, Secret


class NotEvaluated(Exception):
    """A property that the verdict depends on cannot be read; `path` says which and `reason` why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Properties:
    """An object with its place in the resource. Readers take dotted paths and raise NotEvaluated.

    Absent and null are one: providers treat them so. A secret is read like any value; messages must not quote one.
    """

    content: Mapping[str, Any]
    place: str = ""

    def has(self, path: str) -> bool:
        """Whether it is given; a value of its own that is not known yet is given, what it would be inside of is not."""
        inside, _, last = path.rpartition(".")
        return (self.part(inside) if inside else self).content.get(last) is not None

    def is_secret(self, path: str) -> bool:
        """Whether it is marked as secret."""
        inside, _, last = path.rpartition(".")
        parent = self.part(inside) if inside else self
        return isinstance(parent.content.get(last), Secret)

    def text(self, path: str) -> str | None:
        return cast("str | None", self._typed(path, str))

    def flag(self, path: str) -> bool | None:
        """Launch templates and YAML write booleans as words."""
        value = self._find(path)
        if value in ("true", "false"):
            return value == "true"
        return cast("bool | None", self._of_type(path, value, bool))

    def number(self, path: str) -> float | None:
        value = self._find(path)
        if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                raise NotEvaluated(self.at(path), "is no number") from None
        if isinstance(value, bool):
            raise NotEvaluated(self.at(path), "is no number")
        return cast("float | None", self._of_type(path, value, int, float))

    def texts(self, path: str) -> list[str]:
        """A list of strings; empty when absent."""
        return [cast("str", self._known(item, at, str)) for at, item in self._list(path)]

    def parts(self, path: str) -> Iterator[Properties]:
        """The objects of a list, each to be judged by itself; one that is unknown as a whole raises when it is read."""
        for at, item in self._list(path):
            yield Properties(cast("Mapping[str, Any]", item if isinstance(item, Mapping) else _Unreadable(item)), at)

    def part(self, path: str) -> Properties:
        """An object inside; empty when absent."""
        return Properties(cast("Mapping[str, Any]", self._typed(path, Mapping) or {}), self.at(path))

    def items(self, path: str) -> dict[str, str]:
        """A map of strings, such as labels."""
        found = cast("Mapping[str, Any]", self._typed(path, Mapping) or {})
        return {key: cast("str", self._known(value, f"{self.at(path)}.{key}", str)) for key, value in found.items()}

    def document(self, path: str) -> Properties:
        """JSON in a string, such as an IAM policy; empty when absent."""
        text = self.text(path)
        try:
            content: Any = json.loads(text) if text else {}
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise NotEvaluated(self.at(path), "is no JSON object")
        return Properties(cast("Mapping[str, Any]", content), self.at(path))

    def at(self, path: str) -> str:
        return f"{self.place}.{path}" if self.place and path else self.place or path

    def _find(self, path: str) -> Any:
        value: Any = self.content
        walked = ""
        for key in path.split("."):
            if isinstance(value, _Unreadable):
                value = value.value
            value = self._known(value, self.at(walked), Mapping)
            if value is None:
                return None
            walked = f"{walked}.{key}" if walked else key
            value = cast("Mapping[str, Any]", value).get(key)
        return self._known(value, self.at(path))

    def _known(self, value: Any, at: str, *types: type) -> Any:
        if isinstance(value, Secret):
            value = value.value
        if value is UNKNOWN:
            raise NotEvaluated(at, "is not known yet")
        if types and value is not None and not isinstance(value, types):
            raise NotEvaluated(at, f"is no {' or '.join(type_.__name__ for type_ in types)}")
        return value

    def _of_type(self, path: str, value: Any, *types: type) -> Any:
        return self._known(value, self.at(path), *types)

    def _typed(self, path: str, *types: type) -> Any:
        return self._of_type(path, self._find(path), *types)

    def _list(self, path: str) -> list[tuple[str, Any]]:
        found = cast("list[Any]", self._typed(path, list, tuple) or [])
        return [(f"{self.at(path)}[{index}]", item) for index, item in enumerate(found)]


class _Unreadable(dict[str, Any]):
    """Stands where an object is expected and is not there."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value
