"""`python -m stacks.embedded`: the accidents one may cause on an embedded cloud, without the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks.embedded import NOTICE
from stacks.embedded.__main__ import main
from stacks.embedded.store import Store, Stored
from stacks.terminal import Exit, run_command

VPC = "aws:ec2/vpc:Vpc"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = Store(tmp_path / "dev" / "cloud.sqlite")
    for name in ("one", "two"):
        store.insert(Stored(VPC, f"vpc-{name}", f"urn:{VPC}::{name}", {"cidrBlock": "10.0.0.0/16"}, {}, "us-east-1"))
    store.insert(Stored("aws:sqs/queue:Queue", "queue", "urn:aws:sqs/queue:Queue::two", {}, {}, "us-east-1"))
    return tmp_path


def command(root: Path, *arguments: str) -> int:
    name, *rest = arguments
    return run_command(main, [name, "--root", str(root), *rest])


def test_drift_sets_json_or_text_and_says_what_this_is(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(root, "drift", "--name", "one", "--set", "tags.owner=nobody") == Exit.OK
    assert command(root, "drift", "--name", "vpc-one", "--set", "enableDnsSupport=false") == Exit.OK
    [row] = Store(root / "dev" / "cloud.sqlite").of_urn(f"urn:{VPC}::one")
    assert row.inputs == {"cidrBlock": "10.0.0.0/16", "tags": {"owner": "nobody"}, "enableDnsSupport": False}
    assert " ".join(capsys.readouterr().err.split()).startswith(NOTICE)


def test_drift_deletes_what_a_urn_names(root: Path) -> None:
    assert command(root, "drift", "--name", f"urn:{VPC}::two", "--delete") == Exit.OK
    assert {row.id for row in Store(root / "dev" / "cloud.sqlite").all()} == {"vpc-one", "queue"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--name", "two", "--set", "a=1"), "names 2 resources"),
        (("--name", "none", "--delete"), "names 0 resources"),
        (("--name", "one", "--set", "a"), "must be path=value"),
        (("--name", "one", "--set", "cidrBlock.inner=1"), "inner of vpc-one is no object"),
        (("--name", "one"), "must be path=value"),
    ],
)
def test_drift_that_cannot_be_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert command(root, "drift", *arguments) == Exit.BAD_INPUT
    assert words in capsys.readouterr().err


def test_a_failure_waits_for_the_next_operation_of_its_type(root: Path) -> None:
    assert command(root, "fail", "--type", VPC, "--operation", "delete") == Exit.OK
    store = Store(root / "dev" / "cloud.sqlite")
    assert store.take_fault(VPC, "delete", after=False)


def test_reset_forgets_one_stack_and_nothing_beside_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "cloud.sqlite").write_text("not a stack's")
    for stack in ("..", ".", "", "dev/../dev", "prod"):
        assert command(root, "reset", "--stack", stack) == Exit.STATE
    assert command(root, "reset", "--stack", "dev") == Exit.OK
    assert [path.name for path in root.iterdir()] == ["cloud.sqlite"]
    assert command(root, "fail", "--type", VPC) == Exit.STATE
    assert "there is no embedded cloud of it" in capsys.readouterr().err
