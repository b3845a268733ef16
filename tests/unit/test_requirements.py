"""The requirement files are one resolution: hashed, exact, without an address, and the image has its part only."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FILES = ["app.txt", "infra.txt", "dev.txt", "uv.txt"]
ENTRY = re.compile(
    r"^(?P<requirement>[^\s#\\][^\\\n]*?)\s*\\\n(?P<hashes>(?:\s+--hash=sha256:[0-9a-f]{64}(?: \\)?\n?)+)", re.M
)


def pins(file: str) -> dict[str, set[str]]:
    """Every distribution of a file with its exact versions (several where markers split them)."""
    found: dict[str, set[str]] = {}
    for entry in ENTRY.finditer((ROOT / "requirements" / file).read_text()):
        requirement = Requirement(entry["requirement"])
        [specifier] = requirement.specifier
        assert specifier.operator == "=="
        found.setdefault(canonicalize_name(requirement.name), set()).add(specifier.version)
    return found


@pytest.mark.parametrize("file", FILES)
def test_every_line_is_an_exact_version_or_its_hash(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text()
    assert pins(file)
    assert ENTRY.sub("", text).strip() == ""


@pytest.mark.parametrize("file", ["app.txt", "infra.txt"])
def test_what_is_deployed_and_applied_has_the_versions_that_were_tested(file: str) -> None:
    tested = pins("dev.txt")
    assert {name: versions for name, versions in pins(file).items() if tested.get(name) != versions} == {}


def test_the_image_holds_no_infrastructure_and_no_development_package() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    named = {group: {canonicalize_name(Requirement(line).name) for line in lines} for group, lines in groups.items()}
    # The service uses these itself, in the same version: pydantic and pyyaml by LangChain, boto3 by Bedrock,
    # cryptography by PyJWT.
    shared = {"boto3", "cryptography", "httpx", "pydantic", "pyyaml"}
    assert (named["infra"] | named["dev"]) - named["app"] - shared & pins("app.txt").keys() == set()
    assert not [name for name in pins("app.txt") if name.startswith("pulumi")]


@pytest.mark.parametrize("group", ["app", "infra", "dev"])
def test_every_declared_dependency_is_pinned_within_its_declared_range(group: str) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"][group]
    pinned = pins(f"{group}.txt")
    for requirement in map(Requirement, declared):
        versions = pinned[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in versions), requirement
