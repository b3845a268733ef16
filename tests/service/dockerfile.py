"""Reads a Dockerfile's instructions and a .dockerignore's patterns, as far as ours use them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name, its --flags, and the rest of the line."""

    name: str
    flags: tuple[tuple[str, str], ...]
    rest: str

    def flag(self, name: str) -> str | None:
        return next((value for key, value in self.flags if key == name), None)


def read_dockerfile(file: Path) -> list[Instruction]:
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [_instruction(line) for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()]


def _instruction(line: str) -> Instruction:
    name, _, rest = line.strip().partition(" ")
    flags: list[tuple[str, str]] = []
    while match := re.match(r"\s*--([\w-]+)=(\S+)\s+", rest):
        flags.append((match[1], match[2]))
        rest = rest[match.end() :]
    return Instruction(name.upper(), tuple(flags), rest.strip())


def expand(text: str, variables: Mapping[str, str]) -> str:
    return VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text)


def sent_files(context: Path) -> list[PurePosixPath]:
    """The files of a folder that its .dockerignore lets a builder see."""
    patterns = _patterns(context / ".dockerignore")
    files = (PurePosixPath(path.relative_to(context)) for path in context.rglob("*") if not path.is_dir())
    return sorted(file for file in files if not _ignored(file, patterns))


def _patterns(file: Path) -> list[tuple[bool, re.Pattern[str]]]:
    lines = file.read_text().splitlines() if file.exists() else []
    kept = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [(line.startswith("!"), _regular_expression(line.removeprefix("!").strip("/"))) for line in kept]


def _regular_expression(pattern: str) -> re.Pattern[str]:
    tokens = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(tokens.get(part, re.escape(part)) for part in parts))


def _ignored(file: PurePosixPath, patterns: list[tuple[bool, re.Pattern[str]]]) -> bool:
    """The last pattern that matches the file or a folder above it decides."""
    names = [str(file), *map(str, list(file.parents)[:-1])]
    ignored = False
    for exception, pattern in patterns:
        if any(pattern.fullmatch(name) for name in names):
            ignored = not exception
    return ignored
