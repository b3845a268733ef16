"""`make up`: an environment on the embedded cloud by the real engine, then the service of this checkout."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from stacks import capture, local_service
from stacks.configuration import ROOT, read_settings, read_stack, settings_of, with_checkout_image
from stacks.embedded import NOTICE
from stacks.embedded.engine import Workspace, export, open_workspace, stack_outputs
from stacks.engine_events import run_shown
from stacks.terminal import Exit, console, errors, run_command
from tools.activity import shown
from tools.catalogue import Unavailable
from tools.obtain import obtain

QUESTION = '{"input": {"messages": [{"role": "user", "content": "How do I reset my password?"}]}}'


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m stacks.up", description=__doc__)
    parser.add_argument("--stack", default="dev", help="which Pulumi.<stack>.yaml (default: dev)")
    parser.add_argument("--port", type=int, default=8000, help="where the service listens (default: 8000)")
    parser.add_argument(
        "--folder", type=Path, default=ROOT, help="what holds .embedded and .run (default: the checkout)"
    )
    options = parser.parse_args(arguments)
    folder, run_folder = options.folder.resolve(), options.folder.resolve() / ".run"
    read_settings(options.stack)  # a mistake in it is said before anything is built or started
    service = local_service.running(run_folder)
    if service is None or service.port != options.port:
        local_service.require_free(options.port)
    pulumi = find_pulumi()
    if pulumi is None:
        capture.main(["--stack", options.stack])
    else:
        workspace = open_workspace(options.stack, pulumi, root=folder / ".embedded")
        apply(workspace)
        summarise(workspace)
    serve(run_folder, options.port)
    return Exit.OK


def find_pulumi() -> Path | None:
    """The pulumi command, fetched or built when it is not here; says where it came from, or why there is none."""
    try:
        with shown(errors) as report:
            found = obtain("pulumi", report)
    except Unavailable as reason:
        console.print(
            f"[yellow]no pulumi command:[/] {escape(str(reason))}; showing the plan in process instead", soft_wrap=True
        )
        return None
    console.print(f"pulumi {found.version} ({found.origin}: {found.path})", soft_wrap=True)
    return found.path


def apply(workspace: Workspace) -> None:
    """Update the stack, and say what was done."""
    # The graph in process tells how much there is to do, ten times sooner than a preview by the engine.
    config, _ = with_checkout_image(read_stack(workspace.stack))
    graph = capture.capture(settings_of(config, f"Pulumi.{workspace.stack}.yaml"), workspace.stack)
    done = run_shown(workspace, ["up", "--yes", "--skip-preview"], expected=len(list(graph)) + 1)  # 1: the stack itself
    console.print(f"pulumi up of {workspace.stack}: {done.summary()}")


def summarise(workspace: Workspace) -> None:
    """What there is now: resources by kind, outputs, and where it is remembered."""
    kinds = Counter(kind_of(resource["type"]) for resource in export(workspace)["deployment"].get("resources", []))
    kinds.pop("", None)
    table = Table("kind", "resources", box=None, header_style="bold", pad_edge=False)
    for kind, count in sorted(kinds.items()):
        table.add_row(kind, str(count))
    console.print(table)
    outputs = Table("output", Column("value", overflow="fold"), box=None, header_style="bold", pad_edge=False)
    for name, value in stack_outputs(workspace).items():
        outputs.add_row(name, Text(str(value)))
    console.print(outputs)
    if with_checkout_image(read_stack(workspace.stack))[1]:
        console.print(
            "service.image is not set: a stand-in for this checkout's app/ was applied, which nothing can pull"
        )
    console.print(f"state: {workspace.directory}", soft_wrap=True)
    console.print(f"[bold yellow]{escape(NOTICE)}[/]", soft_wrap=True)


def kind_of(token: str) -> str:
    """Package and service of a resource type (`aws:ec2`); empty for components, providers and the stack itself."""
    package, module, _ = token.split(":", 2)
    return f"{package}:{module.split('/')[0]}" if package in ("aws", "kubernetes", "random") else ""


def serve(folder: Path, port: int) -> None:
    """The service of this checkout on the port: kept when it runs there already, moved when it runs on another."""
    service = local_service.running(folder)
    with shown(errors) as report:
        if service and service.port == port:
            local_service.wait_until_ready(service, report)
            words = "is running already"
        else:
            local_service.stop(folder, report)
            service = local_service.start(folder, port, report)
            words = "is ready"
    console.print(f"the service {words} at [bold]{service.address}[/] (log: {folder / 'service.log'})", soft_wrap=True)
    console.print(
        f"  curl -s {service.address}/workflow/execute -H 'content-type: application/json' -d '{QUESTION}'",
        markup=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
