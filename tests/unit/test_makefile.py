"""The short names: each is listed, and runs a command that exists with the variables it was given."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = [
    "up",
    "down",
    "preview",
    "serve",
    "image",
    "test",
    "test-quick",
    "tools",
    "check",
    "bench",
    "lock",
    "pin",
    "policy",
    "cost",
    "review",
    "pipeline",
    "deploy-plan",
    "deploy-apply",
    "soak",
    "help",
    "setup",
]
EXECUTABLE_TOOLS = {"ruff", "basedpyright"}


def make(*arguments: str) -> str:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_alone_lists_every_target_with_a_text() -> None:
    listed = dict(re.findall(r"^  make (\S+)\s+(\S.*)$", make(), re.M))
    assert sorted(listed) == sorted(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_every_module_that_a_target_runs_exists(target: str) -> None:
    modules = set(re.findall(r"-m ([\w.]+)", make("--dry-run", "--always-make", target))) - EXECUTABLE_TOOLS
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


@pytest.mark.parametrize("target", ["up", "down", "preview"])
def test_the_stack_is_dev_unless_another_is_named(target: str) -> None:
    assert "--stack 'dev'" in make("--dry-run", target)
    assert "--stack 'prod'" in make("--dry-run", target, "STACK=prod")


@pytest.mark.parametrize("target", ["up", "serve"])
def test_the_port_is_8000_unless_another_is_named(target: str) -> None:
    assert "--port '8000'" in make("--dry-run", target)
    assert "--port '8123'" in make("--dry-run", target, "PORT=8123")
