"""What a command changed in this checkout as a pull request: one a branch, brought up to date while it is open."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks.configuration import ROOT
from stacks.review.github import GitHub, settled

BASE = "main"


@dataclass(frozen=True)
class Proposal:
    """Files by their path in the repository, the branch of ours that holds them, and what reviewers read."""

    branch: str
    title: str
    body: str
    files: Mapping[str, str]


def changed_below(folder: str, root: Path = ROOT) -> dict[str, str]:
    """The files that git tracks below a folder and that differ from the commit."""
    command = ["git", "diff", "--name-only", "HEAD", "--", folder]
    names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split()
    return {name: (root / name).read_text() for name in names}


def propose(hub: GitHub, proposal: Proposal) -> str:
    """The address of the pull request; empty where main has the files as they are."""
    return settled(hub, lambda: _proposed(hub, proposal))


def _proposed(hub: GitHub, proposal: Proposal) -> str:
    main = _commit(hub, BASE) or {}
    rows = [{"path": path, "mode": "100644", "type": "blob", "content": text} for path, text in proposal.files.items()]
    tree = hub.call("POST", "/git/trees", {"base_tree": main["tree"]["sha"], "tree": rows}).json()["sha"]
    if tree == main["tree"]["sha"]:
        return ""
    standing = _commit(hub, proposal.branch)
    if standing is None or standing["tree"]["sha"] != tree:
        commit = {"message": proposal.title, "tree": tree, "parents": [main["sha"]]}
        sha = hub.call("POST", "/git/commits", commit).json()["sha"]
        if standing is None:
            hub.call("POST", "/git/refs", {"ref": f"refs/heads/{proposal.branch}", "sha": sha})
        else:  # the branch is ours alone: it always is one commit on main
            hub.call("PATCH", f"/git/refs/heads/{proposal.branch}", {"sha": sha, "force": True})
    return _pull_request(hub, proposal)


def _pull_request(hub: GitHub, proposal: Proposal) -> str:
    text = {"title": proposal.title, "body": proposal.body}
    for row in hub.pages("/pulls"):
        head = row["head"]
        if head["ref"] == proposal.branch and (head["repo"] or {}).get("full_name") == hub.repository:
            return str(hub.call("PATCH", f"/pulls/{row['number']}", text).json()["html_url"])
    made = hub.call("POST", "/pulls", {**text, "head": proposal.branch, "base": BASE})
    return str(made.json()["html_url"])


def _commit(hub: GitHub, branch: str) -> dict[str, Any] | None:
    """The commit at a branch's end; None where there is no such branch."""
    found = hub.call("GET", f"/git/ref/heads/{branch}", absent=True)
    if found.status_code == 404:
        return None
    commit: dict[str, Any] = hub.call("GET", f"/git/commits/{found.json()['object']['sha']}").json()
    return commit
