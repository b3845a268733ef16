"""``python -m tools.compose`` writes the rules and dashboards of compose.yaml; a test fails when they are old.

They are those of the cluster without what asks for metrics that only a cluster has.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from infra.kubernetes import alerts, dashboards
from stacks.terminal import console, run_command

FOLDER = Path(__file__).resolve().parent / "generated"
# Kubernetes, its nodes and controllers, PgBouncer and Alertmanager: none of them runs here.
ELSEWHERE = (
    "kube_", "kubelet_", "karpenter_", "container_", "node_cpu", "node_memory", "pgbouncer_", "alertmanager_", "rollout_", "otelcol_",
)  # fmt: skip


def main(arguments: list[str]) -> None:
    """Write the files."""
    argparse.ArgumentParser(prog="python -m tools.compose", description=__doc__).parse_args(arguments)
    for name, text in files().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        console.print(f"wrote {path}", soft_wrap=True)


def files() -> dict[str, str]:
    """The generated files by their names in FOLDER."""
    return {"rules.yaml": yaml.safe_dump({"groups": _groups()}, sort_keys=False, width=1_000_000)} | {
        f"dashboards/{board.uid}.json": json.dumps(dashboards.document(board), indent=1, sort_keys=True) + "\n"
        for board in _boards()
    }


def _groups() -> list[dict[str, Any]]:
    # No rule that is left names a namespace.
    groups = alerts.rule_groups(namespace="")
    return [group | {"rules": [rule for rule in group["rules"] if _applies(rule)]} for group in groups]


def _applies(rule: dict[str, Any]) -> bool:
    # The watchdog tells an alarm in AWS that alerting works.
    return _is_here(rule["expr"]) and rule.get("alert") != alerts.WATCHDOG


def _boards() -> list[dashboards.Dashboard]:
    boards = [
        replace(board, panels=[panel for panel in board.panels if all(map(_is_here, panel.queries.values()))])
        for board in dashboards.dashboards()
    ]
    return [board for board in boards if board.panels]


def _is_here(query: str) -> bool:
    return not any(name in query for name in ELSEWHERE)


if __name__ == "__main__":
    sys.exit(run_command(main))
