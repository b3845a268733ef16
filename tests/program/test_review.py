"""A branch that does what reviewers fear: the report names each thing with its class, and the command says blocked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks.configuration import ROOT
from stacks.cost.amounts import HOURS
from stacks.cost.prices import load
from stacks.review import base
from stacks.terminal import Refused

# What the branch changes, as (file, before, after); where the file is the base's too, the base has the text before.
BRANCH = [
    ("Pulumi.prod.yaml", "instanceClass: db.r7g.xlarge", "instanceClass: db.r7g.2xlarge"),
    ("infra/aws/database.py", "storage_encrypted=False,", "storage_encrypted=True,"),
    ("infra/aws/storage.py", "for kind in (ARTEFACTS, BACKUPS, ACCESS_LOGS, EXPORTS)", "for kind in (ARTEFACTS, BACKUPS, ACCESS_LOGS)"),
    ("infra/aws/storage.py", "self.artefacts, self.backups, self.access_logs, _ =", "self.artefacts, self.backups, self.access_logs ="),
    ("infra/aws/database.py", "# opened below", 'aws.vpc.SecurityGroupIngressRule(f"{name}-open", security_group_id=group.id, cidr_ipv4="0.0.0.0/0", ip_protocol="tcp", from_port=PORT, to_port=PORT, opts=self.child())'),
]  # fmt: skip
# What the base has that the checkout has not.
BASE = [
    ("infra/aws/database.py", "storage_encrypted=True,", "storage_encrypted=False,"),
    ("infra/aws/database.py", "        identifier = settings.name\n", "        # opened below\n        identifier = settings.name\n"),
    ("infra/aws/storage.py", "class Storage(Component):", 'EXPORTS = BucketKind("exports", keep_old_versions_days=7)\n\n\nclass Storage(Component):'),
    *((file, after, before) for file, before, after in BRANCH[2:4]),
]  # fmt: skip


GOLDEN = Path(__file__).with_name("tour.md")
Toured = tuple[subprocess.CompletedProcess[str], dict[str, Any], Path]


def edit(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    for name, before, after in rows:
        text = (folder / name).read_text()
        assert text.count(before) == 1, f"{name}: {before}"
        (folder / name).write_text(text.replace(before, after))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of this checkout's files: the base committed, the branch on top of it."""
    folder = tmp_path_factory.mktemp("tour") / "repository"
    for name in ("app", "infra", "stacks", "policies", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml", "langgraph.json"):
        shutil.copy(ROOT / file, folder / file)
    edit(folder, BASE)
    commit(folder, "base")
    edit(folder, BRANCH)
    commit(folder, "branch")
    return folder


def commit(folder: Path, message: str) -> None:
    who = ["-c", "user.name=tests", "-c", "user.email=tests@example.com", "-c", "init.defaultBranch=main"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", message]):
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True)


def review(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stacks.review", "--base", "HEAD~1", "--date", "2026-11-21", *arguments]
    # A credential in the environment must not reach the base's program, nor be needed.
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "AWS_SECRET_ACCESS_KEY": "not-to-be-seen", "LANG": "C.UTF-8"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def toured(repository: Path) -> Toured:
    output = repository.parent / "report"
    done = review(repository, "--stack", "prod", "--json", "--output", str(output))
    assert done.stdout, done.stderr
    return done, json.loads(done.stdout)[0], output


def test_the_branch_is_blocked(toured: Toured) -> None:
    done, found, _ = toured
    assert done.returncode == 1
    assert found["verdict"] == "blocked"
    assert {"policy", "danger"} <= set(found["closed"])


def test_the_reviewer_reads_what_people_have_read_and_found_right(toured: Toured) -> None:
    """After a change that is meant: copy what is shown here to tour.md, and read it."""
    _, _, output = toured
    markdown = output / "prod.md"
    hashes = re.compile(r"\b[0-9a-f]{7,64}\b")
    shown = hashes.sub("HASH", markdown.read_text()).partition("<details><summary>Architecture")[0]
    assert shown == GOLDEN.read_text()


def test_each_danger_has_its_class_and_its_cause(
    toured: Toured,
) -> None:
    _, found, _ = toured
    told = {
        row["urn"].rsplit("::", 1)[-1]: (row["operation"], row["downtime"], bool(row["refused"]), [c["path"] for c in row["causes"]])
        for row in found["dangers"]
    }  # fmt: skip
    assert told == {
        "database": ("replace", "data loss", True, ["storageEncrypted"]),
        "storage-exports": ("delete", "data loss", True, []),
    }
    database = next(
        row for row in found["changes"] if row["urn"].endswith("::database") and "instance:Instance" in row["urn"]
    )
    assert [row["path"] for row in database["properties"]] == ["instanceClass", "storageEncrypted"]
    opened = next(row for row in found["changes"] if row["urn"].endswith("::database-open"))
    assert opened["operation"] == "create"


def test_the_opened_security_group_is_a_new_mandatory_failure(
    toured: Toured,
) -> None:
    _, found, _ = toured
    failed = [row for row in found["policy"] if row["status"] == "fail"]
    assert {(row["level"], row["new"]) for row in failed} == {("mandatory", True)}
    assert any(row["resource"].endswith("::database-open") for row in failed)


def test_the_cost_rises_by_the_price_of_the_larger_class(toured: Toured) -> None:
    _, found, _ = toured
    hourly = {row.usage_type: row.usd for row in load().rows if row.region == "us-east-1" and row.begins == 0}
    larger = hourly["Multi-AZUsage:db.r7g.2xlarge"] - hourly["Multi-AZUsage:db.r7g.xlarge"]
    moved = [Decimal(amount) for _, amount in found["cost"]["drivers"]]
    assert moved[0] == larger * HOURS
    assert Decimal(found["cost"]["after"]) - Decimal(found["cost"]["before"]) == sum(moved)


def test_nothing_of_the_environment_is_in_any_report(
    toured: Toured,
) -> None:
    assert "flowchart" in (toured[2] / "prod.md").read_text()
    assert all("not-to-be-seen" not in file.read_text() for file in toured[2].iterdir())


def test_a_base_that_cannot_be_captured_is_refused_and_never_clear(repository: Path, tmp_path: Path) -> None:
    done = review(repository, "--base", "0" * 40)
    assert done.returncode == 1
    assert "Fetch it first" in done.stderr


def test_a_base_with_a_link_that_leads_out_of_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    commit(tmp_path, "base")
    monkeypatch.setattr(base, "ROOT", tmp_path)
    with pytest.raises(Refused, match="cannot be unpacked"), base.files_at("HEAD"):
        pass
