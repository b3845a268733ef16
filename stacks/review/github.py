"""GitHub's REST API as the review needs it: every page, patient with rate limits, retried where that is safe."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from stacks.terminal import Exit, Refused

TRIES = 6
_LONGEST_WAIT = 120.0  # seconds; a job that waits longer for its rate limit is better run again
T = TypeVar("T")
_VERSION = "2022-11-28"  # docs.github.com/rest/about-the-rest-api/api-versions


@dataclass
class GitHub:
    """One repository. ``sleep`` and ``now`` are the caller's clock."""

    repository: str
    token: str = field(repr=False)
    address: str = "https://api.github.com"
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30), repr=False)

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        address: str | None = f"{path}?per_page=100"
        while address:
            answer = self.call("GET", address)
            yield from answer.json()
            address = answer.links.get("next", {}).get("url")

    def call(self, method: str, path: str, body: Any = None, *, absent: bool = False) -> httpx.Response:
        """One request. ``absent``: that what it is for is not there is no error. Raises Refused without the token.

        A POST is not sent again after an answer was lost: it may have been done, and the caller must look.
        """
        address = path if path.startswith("http") else f"{self.address}/repos/{self.repository}{path}"
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": _VERSION,
        }
        said = ""
        for attempt in range(TRIES):
            try:
                answer = self.client.request(method, address, json=body, headers=headers)
            except httpx.TransportError as failure:
                said, wait = type(failure).__name__, float(2**attempt)
            else:
                if answer.is_success or (absent and answer.status_code == 404):
                    return answer
                said, wait = _said(answer), _wait(answer, attempt, self.now())
                if wait is None:
                    break
            if method == "POST" and not said.startswith(("403", "429")):
                raise LostAnswer(f"{method} {path}: {said}")
            if attempt < TRIES - 1:
                self.sleep(wait)
        raise Refused(
            f"GitHub: {method} {path}: {said}. Look at the token's permissions, then run it again.", Exit.FAILED
        )


class LostAnswer(Exception):
    """Whether a POST was done is not known."""


def from_environment() -> GitHub:
    """The repository and the token of a workflow's job."""
    try:
        repository, token = os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"]
    except KeyError as name:
        raise Refused(f"{name} is not set: this runs in a workflow. Set it.", Exit.MISSING) from None
    return GitHub(repository, token, os.environ.get("GITHUB_API_URL", GitHub.address))


def settled(hub: GitHub, work: Callable[[], T]) -> T:
    """The work, begun again when an answer was lost: it looks at what is there before it writes."""
    said = ""
    for attempt in range(TRIES):
        try:
            return work()
        except LostAnswer as lost:
            said = str(lost)
            hub.sleep(float(2**attempt))
    raise Refused(f"GitHub: {said}, {TRIES} times. Run it again.", Exit.FAILED)


def keep_issue(hub: GitHub, title: str, body: str, label: str, *, wanted: bool) -> None:
    """One issue of a title: opened or brought up to date while it is wanted, closed when it is not."""

    def write() -> None:
        there = [row for row in hub.pages("/issues") if row["title"] == title and "pull_request" not in row]
        if wanted and not there:
            hub.call("POST", "/issues", {"title": title, "body": body, "labels": [label]})
        for number, row in enumerate(there):
            state = "open" if wanted and number == 0 else "closed"
            hub.call("PATCH", f"/issues/{row['number']}", {"body": body, "state": state})

    settled(hub, write)


def _said(answer: httpx.Response) -> str:
    try:
        message = str(answer.json().get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    return f"{answer.status_code} {message}".strip()


def _wait(answer: httpx.Response, attempt: int, now: float) -> float | None:
    """How long to wait before another try; None where another try is no use.

    docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api, "Exceeding the rate limit".
    """
    limited = answer.status_code in (403, 429)
    if limited and (seconds := answer.headers.get("retry-after")):
        return min(float(seconds), _LONGEST_WAIT)
    if limited and answer.headers.get("x-ratelimit-remaining") == "0":
        return min(max(float(answer.headers.get("x-ratelimit-reset", "0")) - now, 1.0), _LONGEST_WAIT)
    if answer.status_code == 429 or answer.is_server_error:
        return float(2**attempt)
    return None
