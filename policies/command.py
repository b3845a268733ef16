"""``python -m policies --stack prod``: the checks in process, over the captured graph or over a state export."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from policies.catalogue import all_checks
from policies.check import Status, Verdict
from policies.configuration import read
from policies.evaluate import evaluate
from policies.export import graph_of_export
from policies.waivers import Waiver, read_waivers, unused, waived
from stacks.graph import Graph
from stacks.terminal import Exit, Refused


@dataclass(frozen=True)
class Assessment:
    """A stack's verdicts, and the waivers that covered none of them."""

    graph: Graph
    verdicts: list[Verdict]
    unused_waivers: list[Waiver]

    @property
    def blocks(self) -> bool:
        return any(verdict.blocks for verdict in self.verdicts)

    def of(self, *statuses: Status) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.status in statuses]


def assess(graph: Graph, environment: str, today: date) -> Assessment:
    """All checks with an environment's levels, and the waivers that hold today."""
    checks = all_checks()
    waivers = read_waivers(today)
    verdicts = waived(evaluate(checks, graph, read(environment, checks), today), waivers)
    return Assessment(graph, verdicts, unused(graph.stack, verdicts, waivers))


def main(arguments: list[str]) -> int:
    """Assess a stack; exit code 1 when a mandatory check failed."""
    from policies.report.compliance import compliance
    from policies.report.documents import markdown, sarif
    from policies.report.terminal import show

    parser = argparse.ArgumentParser(prog="python -m policies", description=main.__doc__)
    parser.add_argument("--stack", default="dev", help="which Pulumi.<stack>.yaml and policies/config/<stack>.json")
    parser.add_argument("--export", help="a file that `pulumi stack export` wrote, or - for standard input")
    parser.add_argument("--json", action="store_true", help="the verdicts, for machines")
    for kind in ("markdown", "sarif", "html"):
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE", help=f"write the {kind} report too")
    parser.add_argument("--date", type=date.fromisoformat, help="assess as of this day (default: today)")
    chosen = parser.parse_args(arguments)
    today = chosen.date or datetime.now(UTC).date()
    graph = _exported(chosen.export) if chosen.export else _captured(chosen.stack)
    found = assess(graph, chosen.stack, today)
    for file, made in ((chosen.markdown, markdown), (chosen.sarif, sarif)):
        if file:
            file.write_text(made(found))
    if chosen.html:
        chosen.html.write_text(compliance(found, today))
    if chosen.json:
        sys.stdout.write(json.dumps([as_data(verdict) for verdict in found.verdicts], indent=2) + "\n")
    else:
        show(found)
    return Exit.FAILED if found.blocks else Exit.OK


def as_data(verdict: Verdict) -> Mapping[str, Any]:
    """A verdict as JSON has it."""
    return {
        "check": verdict.check.id,
        "status": verdict.status.value,
        "level": verdict.level,
        "severity": verdict.check.severity,
        "resource": verdict.urn,
        "place": verdict.place,
        "message": verdict.message,
        "controls": {framework: list(ids) for framework, ids in verdict.check.controls.items()},
    }


def _captured(stack: str) -> Graph:
    from stacks.capture import capture
    from stacks.configuration import read_stack, settings_of, with_checkout_image

    config, _ = with_checkout_image(read_stack(stack))
    return capture(settings_of(config, f"Pulumi.{stack}.yaml"), stack)


def _exported(source: str) -> Graph:
    text = sys.stdin.read() if source == "-" else Path(source).read_text()
    try:
        return graph_of_export(json.loads(text), source)
    except ValueError as failure:
        raise Refused(f"{source}: is no JSON ({failure}).", Exit.BAD_INPUT) from None
