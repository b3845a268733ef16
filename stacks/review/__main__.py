"""``python -m stacks.review --base main``: what this checkout would change, and whether it may."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

from rich.markdown import Markdown

from policies.report.documents import sarif
from stacks.configuration import known_stacks, read_stack, settings_of, with_checkout_image
from stacks.graph import Graph
from stacks.review.base import commit_of, graph_from, graphs_at
from stacks.review.cost import compare as compare_cost
from stacks.review.documents import document, html
from stacks.review.events import Preview, read_events
from stacks.review.markdown import LIMIT, markdown, summary
from stacks.review.plan import plan
from stacks.review.policy import compare
from stacks.review.review import GATES, Gate, Review
from stacks.terminal import Exit, Refused, console, run_command


def main(arguments: list[str]) -> int:
    """Review every stack; exit 1 when one is blocked."""
    chosen = _parser().parse_args(arguments)
    stacks: list[str] = chosen.stack or known_stacks()
    previews = dict(_preview(text) for text in chosen.events)
    if unknown := sorted(set(previews) - set(stacks)):
        raise Refused(f"--events {unknown[0]}: no such stack is reviewed. Choose one of {', '.join(stacks)}.")
    base, today = commit_of(chosen.base), chosen.date or datetime.now(UTC).date()
    accepted: frozenset[Gate] = frozenset(chosen.accept)
    with graphs_at(base, stacks) as capturing:
        standing = {
            stack: graph_from(capturing[stack], stack, base) if stack in capturing else Graph(stack, False, (), {})
            for stack in stacks
        }
    reviews = [
        review_of(standing[stack], stack, today, _provenance(base, chosen), previews.get(stack), accepted)
        for stack in stacks
    ]
    _write(reviews, chosen)
    return Exit.FAILED if any(review.verdict == "blocked" for review in reviews) else Exit.OK


def review_of(
    standing: Graph,
    stack: str,
    today: date,
    provenance: Mapping[str, str],
    preview: Preview | None = None,
    accepted: frozenset[Gate] = frozenset(),
    config: Mapping[str, str] | None = None,
) -> Review:
    """The review of a stack's configuration over what stands; a preview by the engine tells the changes better."""
    chosen, stand_in = with_checkout_image(read_stack(stack) if config is None else config)
    settings = settings_of(chosen, f"Pulumi.{stack}.yaml")
    graph, changes = plan(standing, settings, stack)
    facts = {
        **provenance,
        "changes from": "a preview by the engine" if preview else "the graphs of both commits, without a cloud",
        **({"image": "service.image is not set: a stand-in for this checkout"} if stand_in else {}),
    }
    policy = compare(standing, graph, today, preview)
    cost = compare_cost(standing, graph, Decimal(settings.budget.monthly_usd), today)
    return Review(stack, graph, preview.changes if preview else changes, policy, cost, facts, accepted)


def _provenance(base: str, chosen: argparse.Namespace) -> dict[str, str]:
    facts = {"base": base, "commit": commit_of("HEAD")}
    facts |= {name: version(name) for name in ("pulumi", "pulumi-aws", "pulumi-kubernetes")}
    if chosen.client_side:
        facts["Kubernetes"] = (
            "compared client-side: the preview role may not patch, so admission and defaults are not seen"
        )
    return facts | dict(text.split("=", 1) for text in chosen.note)


def _preview(text: str) -> tuple[str, Preview]:
    stack, separator, file = text.partition("=")
    if not separator:
        raise Refused(f"--events {text}: must be STACK=FILE.")
    return stack, read_events(Path(file))


def _write(reviews: list[Review], chosen: argparse.Namespace) -> None:
    whole = "\n".join(markdown(review, LIMIT // len(reviews)) for review in reviews)
    data = json.dumps([document(review) for review in reviews], indent=2) + "\n"
    if chosen.output:
        folder: Path = chosen.output
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "review.md").write_text(whole)
        (folder / "review.json").write_text(data)
        (folder / "review.html").write_text(html(reviews))
        for review in reviews:
            (folder / f"{review.stack}.md").write_text(markdown(review, LIMIT // len(reviews)))
            (folder / f"{review.stack}.sarif").write_text(sarif(review.policy.assessment))
    if chosen.json:
        sys.stdout.write(data)
    else:
        console.print(Markdown("\n".join(summary(review) for review in reviews)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.review", description=main.__doc__)
    parser.add_argument("--base", default="main", help="the commit to compare with (default: main)")
    parser.add_argument("--stack", action="append", help="which Pulumi.<stack>.yaml (default: all); can be repeated")
    parser.add_argument(
        "--events", action="append", default=[], metavar="STACK=FILE", help="events of a preview by the engine"
    )
    parser.add_argument("--client-side", action="store_true", help="say that Kubernetes was compared client-side")
    parser.add_argument("--accept", action="append", default=[], choices=GATES, help="open a gate, as a label does")
    parser.add_argument("--date", type=date.fromisoformat, help="judge as of this day (default: today, UTC)")
    parser.add_argument("--note", action="append", default=[], metavar="NAME=TEXT", help="a line of provenance more")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write Markdown, JSON, HTML and SARIF there")
    parser.add_argument("--json", action="store_true", help="print the review for machines")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
