"""What scheduled workflows keep on GitHub: one issue of a title, one pull request of a branch, whatever gets lost."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from stacks.delivery.price_change import price_proposal
from stacks.delivery.propose import Proposal, changed_below, propose
from stacks.review.github import GitHub, from_environment, keep_issue
from stacks.terminal import Exit, Refused

Lose = Callable[[httpx.Request], bool]


def never(_: httpx.Request) -> bool:
    return False


@dataclass
class FakeGitHub:
    """Issues, pull requests, branches and commits of o/r. ``lose``: the request is done, and its answer is lost."""

    issues: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    pulls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    branches: dict[str, str] = field(default_factory=lambda: {"main": "c0"})
    commits: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"c0": {"sha": "c0", "tree": {"sha": "{}"}, "parents": []}}
    )
    lose: Lose = never
    slept: list[float] = field(default_factory=list[float])

    def hub(self) -> GitHub:
        client = httpx.Client(transport=httpx.MockTransport(self.answer))
        return GitHub("o/r", "t", "https://api.test", self.slept.append, lambda: 1000.0, client)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/repos/o/r")
        found = self.done(request.method, path, json.loads(request.content or "{}"))
        if self.lose(request):
            raise httpx.ReadTimeout("lost", request=request)
        return found

    def done(self, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
        rows = self.issues if path.startswith("/issues") else self.pulls
        if path == "/git/trees":  # a tree's name is what is in it
            files = json.loads(body["base_tree"]) | {row["path"]: row["content"] for row in body["tree"]}
            return httpx.Response(201, json={"sha": json.dumps(files)})
        if path == "/git/commits":
            sha = f"c{len(self.commits)}"
            self.commits[sha] = {"sha": sha, "tree": {"sha": body["tree"]}, "parents": body["parents"]}
            return httpx.Response(201, json=self.commits[sha])
        if named := re.fullmatch(r"/git/commits/(.+)", path):
            return httpx.Response(200, json=self.commits[named[1]])
        if named := re.fullmatch(r"/git/refs?(?:/heads/(.+))?", path):
            return self.branch(method, named[1] or body["ref"].removeprefix("refs/heads/"), body)
        if method == "GET":
            return httpx.Response(200, json=[row for row in rows if row["state"] == "open"])
        if method == "POST":
            here = {"repo": {"full_name": "o/r"}, "ref": body.get("head")}
            number = len(rows) + 1
            rows.append(
                body | {"number": number, "state": "open", "head": here, "html_url": f"https://x.test/{number}"}
            )
            return httpx.Response(201, json=rows[-1])
        row = rows[int(path.rsplit("/", 1)[1]) - 1]
        row.update(body)
        return httpx.Response(200, json=row)

    def branch(self, method: str, name: str, body: dict[str, Any]) -> httpx.Response:
        if method == "GET" and name not in self.branches:
            return httpx.Response(404, json={"message": "Not Found"})
        if method == "POST" and name in self.branches:
            return httpx.Response(422, json={"message": "Reference already exists"})
        if method != "GET":
            self.branches[name] = body["sha"]
        return httpx.Response(200, json={"object": {"sha": self.branches[name]}})


class Forgotten(list[dict[str, Any]]):
    """Issues that are never there."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(())


def once(method: str, ending: str) -> Lose:
    """Loses the answer to the first such request."""
    left = [True]

    def lose(request: httpx.Request) -> bool:
        return (request.method, request.url.path.endswith(ending)) == (method, True) and bool(left and left.pop())

    return lose


@pytest.mark.parametrize("lose", [never, once("POST", "/issues")])
def test_one_issue_is_opened_brought_up_to_date_and_closed(lose: Lose) -> None:
    server = FakeGitHub(lose=lose)
    for body in ("first", "second"):
        keep_issue(server.hub(), "Drift in dev", body, "drift", wanted=True)
    assert [(row["title"], row["body"], row["state"]) for row in server.issues] == [("Drift in dev", "second", "open")]
    keep_issue(server.hub(), "Drift in dev", "gone", "drift", wanted=False)
    keep_issue(server.hub(), "Drift in prod", "none", "drift", wanted=False)
    assert [row["state"] for row in server.issues] == ["closed"]


def test_an_answer_that_is_lost_again_and_again_ends_in_a_refusal() -> None:
    server = FakeGitHub(lose=lambda request: request.method == "POST", issues=Forgotten())
    with pytest.raises(Refused, match="POST /issues: ReadTimeout, 6 times"):
        keep_issue(server.hub(), "Drift in dev", "x", "drift", wanted=True)


PROPOSAL = Proposal("prices", "Prices as of today", "2 prices moved", {"prices.csv": "new"})


@pytest.mark.parametrize("ending", ["", "/git/trees", "/git/commits", "/git/refs", "/pulls"])
def test_what_changed_becomes_one_pull_request_whichever_answer_is_lost(ending: str) -> None:
    server = FakeGitHub(lose=once("POST", ending) if ending else never)
    assert propose(server.hub(), PROPOSAL) == propose(server.hub(), PROPOSAL) == "https://x.test/1"
    [pull] = server.pulls
    assert (pull["title"], pull["body"], pull["base"]) == ("Prices as of today", "2 prices moved", "main")
    proposed = server.commits[server.branches["prices"]]
    assert json.loads(proposed["tree"]["sha"]) == {"prices.csv": "new"}
    assert proposed["parents"] == ["c0"]


def test_newer_changes_take_the_place_of_those_before_on_the_newer_main() -> None:
    server = FakeGitHub()
    propose(server.hub(), PROPOSAL)
    server.commits["m"] = {"sha": "m", "tree": {"sha": '{"other": "merged"}'}, "parents": ["c0"]}
    server.branches["main"] = "m"
    newer = Proposal("prices", "Prices as of today", "3 prices moved", {"prices.csv": "newer"})
    assert propose(server.hub(), newer) == "https://x.test/1"
    proposed = server.commits[server.branches["prices"]]
    assert json.loads(proposed["tree"]["sha"]) == {"other": "merged", "prices.csv": "newer"}
    assert proposed["parents"] == ["m"]
    assert server.pulls[0]["body"] == "3 prices moved"


def test_nothing_is_proposed_that_main_has_and_a_forks_branch_of_the_name_is_left_alone() -> None:
    server = FakeGitHub()
    server.commits["c0"]["tree"]["sha"] = '{"prices.csv": "new"}'
    assert propose(server.hub(), PROPOSAL) == ""
    server.commits["c0"]["tree"]["sha"] = "{}"
    fork = {"repo": {"full_name": "mallory/r"}, "ref": "prices"}
    server.pulls.append({"number": 1, "state": "open", "head": fork, "body": "theirs"})
    assert propose(server.hub(), PROPOSAL) == "https://x.test/2"
    assert server.pulls[0]["body"] == "theirs"


def test_only_what_changed_below_the_folder_is_taken(tmp_path: Path) -> None:
    for name in ("data/a.csv", "data/b.csv", "code.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    who = ["-c", "user.name=tests", "-c", "user.email=tests@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "base"]):
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True)
    for name in ("data/a.csv", "code.py", "data/untracked"):
        (tmp_path / name).write_text("new")
    assert changed_below("data", tmp_path) == {"data/a.csv": "new"}


def test_outside_of_a_workflow_the_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(Refused, match="GITHUB_TOKEN' is not set") as refusal:
        from_environment()
    assert refusal.value.code is Exit.MISSING
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_x")
    hub = from_environment()
    assert (hub.repository, hub.token, hub.address) == ("o/r", "ghs_x", "https://api.github.com")


REPORT = {
    "confirmed": 3,
    "moves": [
        {"region": "us-east-1", "service": "AmazonEC2", "usageType": "BoxUsage:m7i.large", "begins": "0", "old": "0.1", "new": "0.2", "percent": "100.00"}
    ],
    "failures": ["us-east-1 AmazonRDS x: 2 SKUs fit"],
    "absent": [],
}  # fmt: skip


def test_the_pull_request_of_prices_shows_what_moved_and_what_was_not_to_be_had(tmp_path: Path) -> None:
    report = tmp_path / "prices.json"
    report.write_text(json.dumps(REPORT))
    proposal, code = price_proposal(report)
    assert "| us-east-1 | `AmazonEC2 BoxUsage:m7i.large` | 0 | 0.1 | 0.2 | 100.00 |" in proposal.body
    assert "Left as they were:\n\n- us-east-1 AmazonRDS x: 2 SKUs fit" in proposal.body
    assert code is Exit.FAILED
    report.write_text(json.dumps({**REPORT, "failures": []}))
    assert price_proposal(report)[1] is Exit.OK


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_a_refresh_that_told_nothing_proposes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "prices.json").write_text(text)
    with pytest.raises(Refused, match="nothing is proposed"):
        price_proposal(tmp_path / "prices.json")
