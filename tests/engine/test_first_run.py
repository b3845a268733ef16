"""The README's first run, step by step, each stopped half-way and run again; AWS is moto and the embedded cloud."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import PROJECT
from stacks import check, secrets
from stacks.account import open_account
from stacks.bootstrap import __main__ as bootstrap
from stacks.bootstrap.plan import apply, pending, plan
from stacks.bootstrap.step import Target
from stacks.capture import main as capture_command
from stacks.configuration import ROOT, read_settings, read_stack
from stacks.embedded.engine import Event, Workspace, export, open_workspace, run, stack_outputs
from stacks.embedded.store import Store
from stacks.terminal import Exit, Refused, run_command
from tests.aws_account import ACCOUNT, aws_account
from tools.obtain import find

PULUMI = find("pulumi")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(PULUMI is None, reason="no pulumi command: make tools says why"),
]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/langgraph-agents@sha256:" + "a" * 64


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The checkout's project files at a place where the test may edit them; the program stays the checkout's."""
    folder = tmp_path / "project"
    folder.mkdir()
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump({**declared, "main": str(ROOT / "stacks")}))
    (folder / "Pulumi.dev.yaml").write_text((ROOT / "Pulumi.dev.yaml").read_text())
    return folder


def paste(project: Path, values: dict[str, Any]) -> None:
    path = project / "Pulumi.dev.yaml"
    document = yaml.safe_load(path.read_text())
    for key, value in values.items():
        document["config"].setdefault(f"{PROJECT}:{key}", {}).update(value)
    path.write_text(yaml.safe_dump(document))


def opened(project: Path, tmp_path: Path, *, checkpoints: bool = True) -> Workspace:
    assert PULUMI is not None
    return open_workspace("dev", PULUMI.path, tmp_path / "clouds", project=project, checkpoints=checkpoints)


def kinds(workspace: Workspace) -> set[str]:
    resources = export(workspace)["deployment"].get("resources", [])
    return {resource["type"].rsplit(":", 1)[-1] for resource in resources}


class Stopped(Exception):
    """Ctrl-C, in the middle of a command."""


def stopped(workspace: Workspace, arguments: list[str], steps: int) -> None:
    """Run a command and stop it after some of its steps."""
    seen = 0

    def count(event: Event) -> None:
        nonlocal seen
        seen += "resourcePreEvent" in event
        if seen == steps:
            raise Stopped

    with pytest.raises(Stopped):
        run(workspace, arguments, count)


def command_of(function: Callable[[list[str]], int | None], *arguments: str) -> int:
    return run_command(function, list(arguments))


def test_the_readme_has_the_steps_that_are_walked_below() -> None:
    text = (ROOT / "README.md").read_text()
    steps = re.findall(r"^(\d)\. .*", text.partition("## A real account")[2], re.MULTILINE)
    assert steps == ["1", "2", "3", "4", "5", "6", "7"]


@pytest.mark.timeout(900)  # nine long commands of the engine, one after the other
def test_the_first_run_of_the_readme_from_an_empty_account_to_the_service(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with aws_account() as session:
        # 1. The settings, half edited: refused, with what is still to do. Then whole.
        paste(project, {"account": {"id": "210987654321"}})
        with pytest.raises(Refused, match=r"belongs to another account than account\.id=210987654321"):
            read_settings("dev", project)
        paste(project, {"account": {"id": ACCOUNT}, "tags": {"owner": "first-run"}})
        assert read_settings("dev", project).tags.owner == "first-run"

        # 2. Bootstrap, stopped after five steps, then run again to its end.
        target = Target.of(open_account(read_settings("dev", project), "dev"), None)
        assert len(list(islice(apply(target, plan(target)), 5))) == 5
        assert pending(plan(target))
        assert command_of(bootstrap.main, "dev", "--apply", "--json") == Exit.OK
        said = json.loads(capsys.readouterr().out)
        assert not pending(plan(target))
        assert any("pulumi login 's3://" in command for command in said["next"])

        # 3. The settings it printed are accepted as they stand; stopped between login and stack init, then both again.
        paste(project, {"bootstrap": said["settings"], "delivery": {"githubRepository": "example/agents"}})
        with monkeypatch.context() as interrupted:
            interrupted.setattr("stacks.embedded.engine.run", stop)
            with pytest.raises(Stopped):
                opened(project, tmp_path)
        workspace = opened(project, tmp_path)
        workspace = opened(project, tmp_path)
        read_settings("dev", project)

        # 4. Looking changes nothing, whole or stopped: the graph in process, the checks, the engine's preview.
        assert command_of(capture_command, "--stack", "dev", "--json") == Exit.OK
        assert command_of(check.main, "dev", "--offline", "--on", "2026-11-21") == Exit.OK
        capsys.readouterr()
        stopped(workspace, ["preview"], 40)
        assert run(workspace, ["preview"]).code == 0
        assert Store(workspace.store).all() == []

        # 5. The platform without an image: stopped, then failing in the middle, then finished.
        stopped(workspace, ["up", "--yes", "--skip-preview"], 40)
        Store(workspace.store).add_fault("aws:rds/instance:Instance", "create", after=False)
        failed = run(workspace, ["up", "--skip-preview"])
        assert failed.code != 0
        assert "injected" in failed.stdout + failed.stderr
        workspace = opened(project, tmp_path, checkpoints=False)  # no command is stopped from here on
        assert run(workspace, ["up", "--skip-preview"]).code == 0
        assert {"Instance", "NodePool", "Namespace"} <= kinds(workspace)
        assert "Deployment" not in kinds(workspace)
        assert "service.image" in stack_outputs(workspace)["next"]

        # 6. The secret's entry is there and empty: the embedded cloud made it, moto keeps its value.
        entry = Store(workspace.store).all("aws:secretsmanager/secret:Secret")
        assert "agents-dev/jwt-signing-key" in {row.outputs["name"] for row in entry}
        session.client("secretsmanager").create_secret(Name="agents-dev/jwt-signing-key")
        for value in ("", "a value", "a value"):  # an interrupted pipe gives nothing, and nothing is stored
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(value.encode())))
            wanted = Exit.OK if value else Exit.BAD_INPUT
            assert command_of(secrets.main, "set", "jwt-signing-key", "--stack", "dev") == wanted

    # 7. The image, and the secret mounted; the first up is refused half-way again.
    paste(project, {"service": {"image": IMAGE}, "secrets": {"mounted": ["jwt-signing-key"]}})
    workspace = opened(project, tmp_path, checkpoints=False)
    Store(workspace.store).add_fault("kubernetes:apps/v1:Deployment", "create", after=True)
    assert run(workspace, ["up", "--skip-preview"]).code != 0
    assert run(workspace, ["up", "--skip-preview"]).code == 0
    assert {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"} <= kinds(workspace)
    assert "kubectl" in stack_outputs(workspace)["next"]
    assert "a value" not in json.dumps(export(workspace))

    unchanged = run(workspace, ["preview", "--expect-no-changes"])
    assert unchanged.code == 0, unchanged.stdout
    assert run(workspace, ["destroy"]).code == 0
    assert Store(workspace.store).all() == []
    assert read_stack("dev") == read_stack("dev", ROOT)  # the checkout's own files were not touched


def stop(*_: object) -> None:
    raise Stopped
