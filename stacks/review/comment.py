"""``python -m stacks.review.comment --pull 7 --folder build/review``: the one comment and the labels of a pull request.

Each stack has a section of its own; runs of a matrix merge theirs into the same comment, those of older commits go.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stacks.review.github import GitHub, LostAnswer, from_environment
from stacks.review.redaction import cleaned
from stacks.terminal import Exit, Refused, console, run_command

MARKER = "<!-- infrastructure-review v1 -->"
LONGEST = 65_536  # characters of a comment (the API answers 422 "body is too long (maximum is 65536 characters)")
OURS = ("infra:", "cost:")  # labels with these prefixes are set and taken off by us alone
_SECTION = re.compile(r"<!-- section (\S+) (\S+) -->\n(.*?)<!-- end \1 -->\n", re.S)
_ROUNDS = 5

Sections = Mapping[str, str]


def body_of(commit: str, sections: Sections) -> str:
    """The whole comment; the longest section loses its details when there is no room for all."""
    kept = {stack: cleaned(text) for stack, text in sections.items()}
    head = f"{MARKER}\n## Infrastructure review of `{commit[:12]}`\n\n"
    while len(text := head + "".join(_section(stack, commit, kept[stack]) for stack in sorted(kept))) > LONGEST:
        longest = max(kept, key=lambda stack: len(kept[stack]))
        short = kept[longest].split("<details", 1)[0][: LONGEST // (2 * len(kept))]
        kept[longest] = f"{short}\n\nToo long for a comment: the full report is among this run's artefacts.\n"
    return text


def sections_of(body: str, commit: str) -> dict[str, str]:
    """The sections of a comment that are of a commit."""
    return {stack: text for stack, found, text in _SECTION.findall(body) if found == commit}


def publish(hub: GitHub, pull: int, commit: str, sections: Sections, author: str) -> str:
    """Write the sections into the pull request's comment; its address. Raises Refused when others keep undoing it."""
    for _ in range(_ROUNDS):
        found = [row for row in hub.pages(f"/issues/{pull}/comments") if _ours(row, author)]
        known: dict[str, str] = {}
        for row in reversed(found):  # the oldest one's sections win over those of what a race made beside it
            known |= sections_of(row["body"], commit)
        wanted = body_of(commit, {**known, **sections})
        if len(found) == 1 and found[0]["body"] == wanted:
            return str(found[0]["html_url"])
        if found:
            hub.call("PATCH", f"/issues/comments/{found[0]['id']}", {"body": wanted})
        else:
            try:
                hub.call("POST", f"/issues/{pull}/comments", {"body": wanted})
            except LostAnswer:
                hub.sleep(2)
        for row in found[1:]:
            hub.call("DELETE", f"/issues/comments/{row['id']}", absent=True)
        # Once more round: another run may have written at the same time, and only what is read again is known.
    raise Refused(f"pull request {pull}: its comment changed {_ROUNDS} times while it was written.", Exit.FAILED)


def relabel(hub: GitHub, pull: int, wanted: set[str]) -> None:
    """Set our labels to the wanted ones; other people's stay."""
    there = {row["name"] for row in hub.pages(f"/issues/{pull}/labels")}
    for name in sorted(label for label in there - wanted if label.startswith(OURS)):
        hub.call("DELETE", f"/issues/{pull}/labels/{quote(name, safe='')}", absent=True)
    if missing := sorted(wanted - there):
        try:
            hub.call("POST", f"/issues/{pull}/labels", {"labels": missing})
        except LostAnswer:  # adding a label twice is adding it once
            hub.call("PUT", f"/issues/{pull}/labels", {"labels": sorted({*there, *wanted})})


def labels_of(documents: list[dict[str, Any]]) -> set[str]:
    """What the reviews say in a label: a replacement, a deletion, more cost a month."""
    counts = [document["counts"] for document in documents]
    found = {
        label
        for label, name in (("infra:replace", "replace"), ("infra:destroy", "delete"))
        if any(c.get(name) for c in counts)
    }
    costs = [document["cost"] for document in documents if document["cost"]]
    added = sum(float(cost["after"]) - float(cost["before"]) for cost in costs)
    return found | ({f"cost:+{added:.0f}"} if added >= 1 else set())


def main(arguments: list[str]) -> int:
    """Publish the reviews that a folder holds; exit 1 when one is blocked or missing."""
    parser = argparse.ArgumentParser(prog="python -m stacks.review.comment", description=main.__doc__)
    parser.add_argument("--pull", type=int, required=True, help="number of the pull request")
    parser.add_argument("--commit", required=True, help="the commit that was reviewed")
    parser.add_argument("--folder", type=Path, required=True, help="what python -m stacks.review --output wrote")
    parser.add_argument("--expect", action="append", default=[], help="a stack whose review must be there")
    parser.add_argument("--author", default="github-actions[bot]", help="whose comment it is")
    chosen = parser.parse_args(arguments)
    hub = from_environment()
    documents, sections = read(chosen.folder, chosen.expect)
    console.print(publish(hub, chosen.pull, chosen.commit, sections, chosen.author))
    relabel(hub, chosen.pull, labels_of(documents))
    blocked = any(document["verdict"] == "blocked" for document in documents)
    return Exit.FAILED if blocked or len(documents) < len(set(chosen.expect)) else Exit.OK


def read(folder: Path, expected: list[str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The reviews below a folder, and a section for each stack: one that is missing says so, and never turns green."""
    documents: dict[str, dict[str, Any]] = {}
    sections = {
        stack: f"### ⛔ {stack}: not reviewed\n\nIts review is missing: look at the run.\n" for stack in expected
    }
    for file in sorted(folder.rglob("review.json")):
        for document in json.loads(file.read_text()):
            stack = str(document["stack"])
            documents[stack] = document
            sections[stack] = (file.parent / f"{stack}.md").read_text()
    return [documents[stack] for stack in sorted(documents)], sections


def _section(stack: str, commit: str, text: str) -> str:
    return f"<!-- section {stack} {commit} -->\n{text.replace('<!--', '&lt;!--').rstrip()}\n<!-- end {stack} -->\n"


def _ours(row: Mapping[str, Any], author: str) -> bool:
    """Anybody can write the marker; only the author's comment is taken for ours."""
    return str(row["body"]).startswith(MARKER) and row["user"]["login"] == author


if __name__ == "__main__":
    sys.exit(run_command(main))
