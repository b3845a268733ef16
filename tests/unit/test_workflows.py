"""The workflows: pinned by digest, without rights they do not use, and every command in them exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.test_makefile import TARGETS
from tools.workflows import FOLDER

FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_action_is_a_digest_with_its_tag_beside_it(file: Path) -> None:
    uses = re.findall(r"uses: (.*)", file.read_text())
    assert uses
    assert [line for line in uses if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_workflow_has_no_rights_but_those_its_jobs_name_and_a_lock(file: Path) -> None:
    workflow: dict[str, Any] = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    writing = {name for name, job in workflow["jobs"].items() if job["permissions"]["contents"] == "write"}
    assert writing == ({"propose"} if file.stem == "prices" else set[str]())
    # What writes here has no way to a role of AWS, and the other way round.
    assert all("id-token" not in workflow["jobs"][name]["permissions"] for name in writing)
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_pull_requests_code_meets_no_token_that_writes(file: Path) -> None:
    workflow: dict[str, Any] = yaml.safe_load(file.read_text())
    assert "pull_request_target" not in file.read_text()
    if file.stem != "preview":
        return
    for name, job in workflow["jobs"].items():
        writes = [right for right, level in job["permissions"].items() if level == "write" and right != "id-token"]
        checkout = next(step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout"))
        assert bool(writes) == (name == "comment")
        assert (checkout["with"].get("ref") == "${{ github.event.pull_request.base.sha }}") == bool(writes)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_command_exists(file: Path) -> None:
    targets = re.findall(r"\bmake ([a-z-]+)", file.read_text())
    modules = re.findall(r"-m (stacks[\w.]*)", file.read_text())
    assert set(targets) <= set(TARGETS)
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
