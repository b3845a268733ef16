"""What policies cost: the checks in process over both stacks, and what the pack adds to an engine's preview."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from stacks.configuration import ROOT, known_stacks
from stacks.embedded.engine import open_workspace, run
from stacks.terminal import Exit, Refused
from tests.bench.timing import median
from tests.environments import graph_of


@dataclass(frozen=True)
class Policies:
    """Medians in seconds."""

    checks: float  # of both stacks, their graphs captured already
    preview: float | None
    preview_with_pack: float | None

    @property
    def ratio(self) -> float | None:
        return self.preview_with_pack / self.preview if self.preview and self.preview_with_pack else None

    def told(self) -> str:
        engine = f"; prod's preview takes {self.ratio:.1f} × as long with the pack" if self.ratio else ""
        return f"policies: {self.checks:.2f} s for both stacks in process{engine}"


def policies(pulumi: Path | None, runs: int) -> Policies:
    """Each after one run to warm up."""
    from policies.command import assess

    today = date(2026, 11, 21)
    graphs = {stack: graph_of(stack) for stack in known_stacks()}
    checks = median(runs, lambda: [assess(graph, stack, today) for stack, graph in graphs.items()])
    if pulumi is None:
        return Policies(checks, None, None)
    pack = ("--policy-pack", str(ROOT / "policies"), "--policy-pack-config", str(ROOT / "policies/config/prod.json"))
    with tempfile.TemporaryDirectory() as folder:
        workspace = open_workspace("prod", pulumi, Path(folder))

        def preview(*options: str) -> None:
            # What blocks at a first preview of prod is no matter here: every check has run by then.
            completed = run(workspace, ["preview", *options])
            if completed.code != 0 and not options:
                raise Refused(f"pulumi preview of prod failed:\n{completed.stderr}", Exit.FAILED)

        return Policies(checks, median(runs, preview), median(runs, lambda: preview(*pack)))
