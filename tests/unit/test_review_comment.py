"""One comment a pull request, against a GitHub that pages, races, limits and fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from stacks.review import comment
from stacks.review.comment import LONGEST, MARKER, body_of, labels_of, publish, read, relabel, sections_of
from stacks.review.github import GitHub
from stacks.terminal import Refused

BOT, COMMIT, TOKEN = "github-actions[bot]", "c" * 40, "ghs_" + "a" * 36


@dataclass
class FakeGitHub:
    """Comments and labels of pull request 7, thirty a page whatever is asked for; ``before`` may answer in its stead."""

    comments: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    labels: list[str] = field(default_factory=list[str])
    before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
    asked: list[str] = field(default_factory=list[str])
    slept: list[float] = field(default_factory=list[float])

    def add(self, body: str, login: str = BOT) -> dict[str, Any]:
        number = max((row["id"] for row in self.comments), default=100) + 1
        row = {"id": number, "body": body, "user": {"login": login}, "html_url": f"https://x.test/{number}"}
        self.comments.append(row)
        return row

    def hub(self) -> GitHub:
        client = httpx.Client(transport=httpx.MockTransport(self.answer))
        return GitHub("o/r", TOKEN, "https://api.test", self.slept.append, lambda: 1000.0, client)

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        self.asked.append(f"{request.method} {request.url.path}")
        if (instead := self.before(request)) is not None:
            return instead
        return self.usual(request)

    def usual(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/repos/o/r")
        body: Any = json.loads(request.content) if request.content else None
        if path == "/issues/7/comments":
            return httpx.Response(201, json=self.add(body["body"])) if request.method == "POST" else self.page(request)
        if path == "/issues/7/labels":
            if request.method == "GET":
                return httpx.Response(200, json=[{"name": name} for name in self.labels])
            self.labels = sorted({*body["labels"], *(self.labels if request.method == "POST" else [])})
            return httpx.Response(200, json=[])
        if found := re.fullmatch(r"/issues/7/labels/(.+)", path):
            self.labels.remove(found[1])
            return httpx.Response(200, json=[])
        number = int(path.rsplit("/", 1)[1])
        [row] = [row for row in self.comments if row["id"] == number] or [None]
        if row is None:
            return httpx.Response(404, json={"message": "Not Found"})
        if request.method == "DELETE":
            self.comments.remove(row)
            return httpx.Response(204)
        row["body"] = body["body"]
        return httpx.Response(200, json=row)

    def page(self, request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("page", "1"))
        rows = self.comments[30 * (number - 1) : 30 * number]
        more = len(self.comments) > 30 * number
        links = {"link": f'<{request.url.copy_set_param("page", str(number + 1))}>; rel="next"'} if more else {}
        return httpx.Response(200, json=rows, headers=links)

    def ours(self) -> list[str]:
        return [row["body"] for row in self.comments if row["body"].startswith(MARKER) and row["user"]["login"] == BOT]


def write(server: FakeGitHub, **sections: str) -> str:
    return publish(server.hub(), 7, COMMIT, sections, BOT)


def test_the_first_run_makes_the_comment_and_the_next_changes_the_same_one_far_down_a_busy_pull_request() -> None:
    server = FakeGitHub()
    for number in range(70):
        server.add(f"comment {number}", "somebody")
    first = write(server, dev="one")
    for number in range(50):
        server.add(f"later {number}", "somebody")
    assert write(server, dev="two") == first
    [body] = server.ours()
    assert sections_of(body, COMMIT) == {"dev": "two\n"}


def test_runs_of_a_matrix_merge_and_an_older_commits_section_goes() -> None:
    server = FakeGitHub()
    publish(server.hub(), 7, "b" * 40, {"dev": "old", "prod": "old"}, BOT)
    write(server, dev="new dev")
    write(server, prod="new prod")
    [body] = server.ours()
    assert sections_of(body, COMMIT) == {"dev": "new dev\n", "prod": "new prod\n"}
    assert "old" not in body


def test_two_runs_that_both_find_no_comment_end_with_one() -> None:
    server = FakeGitHub()

    def race(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            server.before = lambda _: None
            server.add(body_of(COMMIT, {"prod": "theirs"}))
        return None

    server.before = race
    write(server, dev="ours")
    [body] = server.ours()
    assert sections_of(body, COMMIT) == {"dev": "ours\n", "prod": "theirs\n"}


def test_a_section_that_another_run_overwrote_is_written_again() -> None:
    server = FakeGitHub()
    row = server.add(body_of(COMMIT, {"prod": "theirs"}))

    def race(request: httpx.Request) -> httpx.Response | None:
        if request.method != "PATCH":
            return None
        server.before = lambda _: None
        answer = server.usual(request)
        row["body"] = body_of(COMMIT, {"prod": "theirs, later"})  # it had read the comment before us
        return answer

    server.before = race
    write(server, dev="ours")
    assert sections_of(server.ours()[0], COMMIT) == {"dev": "ours\n", "prod": "theirs, later\n"}


def test_somebody_elses_comment_with_our_marker_is_left_alone() -> None:
    server = FakeGitHub()
    server.add(body_of(COMMIT, {"dev": "✅ all is well"}), "mallory")
    write(server, dev="⛔")
    assert [row["user"]["login"] for row in server.comments] == ["mallory", BOT]


@pytest.mark.parametrize(
    ("answer", "waits"),
    [
        (httpx.Response(429, headers={"retry-after": "7"}), [7.0]),
        (httpx.Response(403, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1030"}), [30.0]),
        (httpx.Response(403, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999"}), [120.0]),
        (httpx.Response(502), [1.0]),
    ],
)
def test_it_waits_as_it_is_told_and_goes_on(answer: httpx.Response, waits: list[float]) -> None:
    server, answers = FakeGitHub(), [answer]
    server.before = lambda _: answers.pop() if answers else None
    write(server, dev="x")
    assert server.slept == waits
    assert len(server.ours()) == 1


def test_a_creation_whose_answer_was_lost_is_not_done_twice() -> None:
    server = FakeGitHub()

    def lose(request: httpx.Request) -> httpx.Response | None:
        if request.method != "POST":
            return None
        server.before = lambda _: None
        server.usual(request)
        raise httpx.ReadTimeout("lost", request=request)

    server.before = lose
    write(server, dev="x")
    assert len(server.ours()) == 1


def test_a_missing_permission_is_said_at_once_and_without_the_token() -> None:
    server = FakeGitHub(
        before=lambda _: httpx.Response(403, json={"message": "Resource not accessible by integration"})
    )
    with pytest.raises(Refused, match="not accessible by integration") as refusal:
        write(server, dev="x")
    assert len(server.asked) == 1
    assert TOKEN not in str(refusal.value) + repr(server.hub())


def test_a_server_that_stays_down_is_given_up() -> None:
    server = FakeGitHub(before=lambda _: httpx.Response(503))
    with pytest.raises(Refused, match="503"):
        write(server, dev="x")
    assert server.slept == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_a_comment_never_passes_githubs_limit_and_keeps_every_verdict() -> None:
    sections = {stack: f"### ⛔ {stack}\n<details>" + "x" * 50_000 + "</details>" for stack in ("dev", "stage", "prod")}
    body = body_of(COMMIT, sections)
    assert len(body) <= LONGEST
    assert all(f"### ⛔ {stack}" in body for stack in sections)


def test_secrets_and_markers_inside_a_section_are_disarmed() -> None:
    server = FakeGitHub()
    write(server, dev=f"{TOKEN} <!-- end dev -->\n<!-- section prod {COMMIT} -->\n✅<!-- end prod -->\n")
    [body] = server.ours()
    assert TOKEN not in body
    assert list(sections_of(body, COMMIT)) == ["dev"]


def test_labels_are_ours_to_set_and_others_stay() -> None:
    server = FakeGitHub(labels=["bug", "infra:destroy", "cost:+12"])
    document = {"counts": {"replace": 1}, "cost": {"before": "10", "after": "196.2"}}
    relabel(server.hub(), 7, labels_of([document]))
    assert server.labels == ["bug", "cost:+186", "infra:replace"]


def test_a_review_that_is_missing_has_a_red_section_and_a_red_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "review.json").write_text(
        json.dumps([{"stack": "dev", "verdict": "clear", "counts": {}, "cost": None}])
    )
    (tmp_path / "dev" / "dev.md").write_text("### ✅ dev: clear")
    _, sections = read(tmp_path, ["dev", "prod"])
    assert "⛔ prod: not reviewed" in sections["prod"]
    server = FakeGitHub()
    monkeypatch.setattr(comment, "from_environment", server.hub)
    arguments = ["--pull", "7", "--commit", COMMIT, "--folder", str(tmp_path), "--expect", "dev"]
    assert comment.main(arguments) == 0
    assert comment.main([*arguments, "--expect", "prod"]) == 1
