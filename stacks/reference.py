"""The generated reference: resources, settings, outputs, policies, versions and the service's metrics.

``python -m stacks.reference`` writes docs/reference; a test fails when the pages no longer match the program.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any, cast, get_args

from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel

from app.observability.metrics import Metrics
from infra.compatibility import matrix
from infra.settings import Settings
from policies.catalogue import all_checks
from policies.report.documents import reference as policies
from stacks.capture import capture
from stacks.configuration import ROOT, read_stack, settings_of, with_checkout_image
from stacks.graph import Graph
from stacks.terminal import Refused, console, run_command

STACKS = ("dev", "prod")
OUTPUTS = {
    "alertTopicArn": "the SNS topic that alarms, alerts, budgets and backups ring",
    "artefactBucket": "the bucket of what graphs keep",
    "billing": "what decides each resource's price, which `python -m stacks.cost` reads",
    "cacheUrl": "the Valkey of caches and limits",
    "clusterEndpoint": "the Kubernetes API",
    "clusterName": "the EKS cluster",
    "databaseAddress": "PostgreSQL's host",
    "databaseMasterSecretArn": "where RDS keeps and rotates the owner's password",
    "deployRoleArn": "the role of the workflow `deploy`, once `delivery.githubRepository` is set",
    "environment": "which one it is",
    "kubeconfigCommand": "run it to use kubectl",
    "namespace": "where the service's pods are",
    "next": "what to do now",
    "portForward": "run it to reach the service past the load balancer",
    "previewRoleArn": "the read-only role of the other workflows",
    "serviceUrl": "where the load balancer answers",
    "streamsUrl": "the Valkey that wakes workers and streams",
}
FOLDER = ROOT / "docs" / "reference"
_MADE = "<!-- Made by python -m stacks.reference; edit the program, not this page. -->"


def main(arguments: list[str]) -> None:
    """Write the pages."""
    argparse.ArgumentParser(prog="python -m stacks.reference", description=__doc__).parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
        console.print(f"wrote {(FOLDER / name).relative_to(ROOT)}")


def pages() -> dict[str, str]:
    """The reference pages by file name."""
    chosen = {stack: _settings(stack) for stack in STACKS}
    graphs = {stack: capture(settings, stack) for stack, settings in chosen.items()}
    return {
        "resources.md": _resources(graphs),
        "settings.md": _settings_page(chosen),
        "outputs.md": _outputs(graphs),
        "metrics.md": _metrics(),
        "policies.md": policies(all_checks()),
        "versions.md": _versions(chosen["prod"].cluster.version),
    }


def _settings(stack: str) -> Settings:
    config, _ = with_checkout_image(read_stack(stack))
    return settings_of(config, f"Pulumi.{stack}.yaml")


def _resources(graphs: dict[str, Graph]) -> str:
    counts = {stack: graph.counts() for stack, graph in graphs.items()}
    types = sorted({type_ for count in counts.values() for type_ in count})
    rows = [[f"`{type_}`", *(str(counts[stack][type_]) for stack in STACKS)] for type_ in types]
    rows.append(["**all**", *(f"**{sum(counts[stack].values())}**" for stack in STACKS)])
    intro = "What each stack is made of, with an image set. Components and providers are not counted."
    return _page("Resources", intro, ["type", *STACKS], rows)


def _outputs(graphs: dict[str, Graph]) -> str:
    if unexplained := {name for graph in graphs.values() for name in graph.exports} - set(OUTPUTS):
        raise Refused(f"stacks/reference.py, OUTPUTS: does not explain {', '.join(sorted(unexplained))}. Add it.")
    rows = [[f"`{name}`", what, *(_output(graph, name) for graph in graphs.values())] for name, what in OUTPUTS.items()]
    intro = "What `pulumi stack output` shows: addresses and names, never a secret's value. Empty: of AWS's choosing."
    return _page("Outputs", intro, ["output", "what it is", *STACKS], rows)


def _output(graph: Graph, name: str) -> str:
    value = graph.exports.get(name)
    return f"`{value}`" if isinstance(value, str) else ""


def _metrics() -> str:
    kept = [metric for metric in vars(Metrics()).values() if isinstance(metric, (Counter, Gauge, Histogram))]
    rows: list[list[str]] = []
    for metric in kept:
        [family] = metric.describe()
        suffix = "_total" if family.type == "counter" else ""
        labels = cast("tuple[str, ...]", metric._labelnames)  # pyright: ignore[reportPrivateUsage] - told nowhere else
        rows.append([f"`{family.name}{suffix}`", family.type, ", ".join(labels), family.documentation])
    intro = "What the service tells on `/metrics`, beside its process's own. No label's value comes from a request."
    return _page("Metrics", intro, ["metric", "type", "labels", "what it is"], sorted(rows))


def _settings_page(chosen: dict[str, Settings]) -> str:
    dumps = {stack: settings.model_dump(mode="json", by_alias=True) for stack, settings in chosen.items()}
    rows = [
        [f"`{path}`", kind, default, *(_cell(_at(dumps[stack], path)) for stack in STACKS)]
        for path, kind, default in _fields(Settings, "")
    ]
    intro = (
        "Every key of `Pulumi.<stack>.yaml` below `langgraph-eks:`, its default (— where it must be set), and what the "
        "shipped stacks choose. Rules over several keys: `infra/rules.py`, `infra/capacity_rules.py`."
    )
    return _page("Settings", intro, ["key", "type", "default", *STACKS], rows)


def _versions(kubernetes: str) -> str:
    rows = [
        [
            f"`{entry.field}`",
            entry.version,
            entry.against if entry.shown else f"{entry.against}: no source shows it",
            str(entry.until or "none announced"),
            entry.source,
        ]
        for entry in matrix(kubernetes)
    ]
    intro = (
        "What is pinned, what it goes with, until when it has standard support, and where that was read. "
        "`python -m stacks.check` asks AWS whether it offers the add-ons; `make pin` moves them to its defaults."
    )
    return _page("Versions", intro, ["chosen in", "version", "goes with", "support ends", "source"], rows)


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for field in model.model_fields.values():
        path = f"{prefix}{field.alias}"
        inner = field.annotation
        models = [kind for kind in (inner, *get_args(inner)) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if models and not str(inner).startswith("tuple"):
            yield from _fields(models[0], f"{path}.")
        else:
            default = "—" if field.is_required() else _cell(field.get_default(call_default_factory=True))
            yield path, _kind(inner), default


def _kind(annotation: Any) -> str:
    arguments = get_args(annotation)
    if annotation in (str, int, bool, date):
        return {str: "text", int: "number", bool: "true/false", date: "date"}[annotation]
    if type(None) in arguments:
        return f"{_kind(arguments[0])}, optional"
    if str(annotation).startswith("typing.Literal"):
        return " or ".join(f"`{value}`" for value in arguments)
    for form, kind in (("tuple", "list"), ("dict", "map")):
        if str(annotation).startswith(form):
            return kind
    return {"IPv4Network": "CIDR"}.get(getattr(annotation, "__name__", ""), "text")


def _at(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document and document[part]  # an optional group of settings may be left out
    return document


def _cell(value: Any) -> str:
    if value in (None, (), []):
        return ""
    if isinstance(value, (list, tuple)):
        texts = [item["name"] if isinstance(item, dict) else str(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - JSON
        return ", ".join(texts[:4]) + (f" … ({len(texts)})" if len(texts) > 4 else "")  # pyright: ignore[reportUnknownArgumentType] - JSON
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) < 60 else f"{text[:40]}…"


def _page(title: str, intro: str, header: list[str], rows: list[list[str]]) -> str:
    lines = [f"# {title}", "", _MADE, "", intro, "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(run_command(main))
