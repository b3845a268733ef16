"""`make down`: takes back what `make up` made. Stops the service, destroys the stack, removes their folders."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from app.runtime import embedded_postgres
from infra.settings import PROJECT
from stacks import local_service
from stacks.configuration import ROOT, read_stack
from stacks.embedded import NOTICE
from stacks.embedded.engine import Workspace, export, open_workspace
from stacks.engine_events import run_shown, short_name
from stacks.terminal import Exit, Refused, console, errors, run_command
from tools.activity import shown
from tools.obtain import find

Resources = list[dict[str, Any]]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m stacks.down", description=__doc__)
    parser.add_argument("--stack", default="dev", help="which Pulumi.<stack>.yaml (default: dev)")
    parser.add_argument(
        "--folder", type=Path, default=ROOT, help="what holds .embedded and .run (default: the checkout)"
    )
    options = parser.parse_args(arguments)
    folder: Path = options.folder.resolve()
    read_stack(options.stack)
    workspace = existing_workspace(options.stack, folder / ".embedded")
    resources: Resources = export(workspace)["deployment"].get("resources", []) if workspace else []
    refuse_protected(options.stack, resources)
    stop_service(folder / ".run")
    if workspace:
        destroy(workspace, resources)
    remove([folder / ".embedded" / options.stack, folder / ".run"])
    return Exit.OK


def existing_workspace(stack: str, root: Path) -> Workspace | None:
    """The stack's workspace if there is one; none is made."""
    if not (root / stack).exists():
        console.print(f"{stack} is not on the embedded cloud")
        return None
    pulumi = find("pulumi")
    if pulumi is None:
        raise Refused(f"{root / stack}: there is no pulumi command to destroy it with. Run make tools.", Exit.MISSING)
    return open_workspace(stack, pulumi.path, root=root)


def refuse_protected(stack: str, resources: Resources) -> None:
    """Protection is opened on purpose, in the configuration and by an update, as it would be on AWS."""
    protected = [short_name(resource["urn"]) for resource in resources if resource.get("protect")]
    if protected:
        names = ", ".join(protected[:3]) + (", …" if len(protected) > 3 else "")
        raise Refused(
            f"stack={stack}: protected resources are in it ({names}), so nothing was "
            f"stopped or deleted. Set {PROJECT}:teardown to true in Pulumi.{stack}.yaml, run make up STACK={stack}, "
            f"then make down STACK={stack} again.",
            Exit.STATE,
        )


def stop_service(folder: Path) -> None:
    """Stop the service, and its database where a killed service left it running."""
    with shown(errors) as report:
        service = local_service.stop(folder, report)
    if service:
        console.print(f"stopped the service at {service.address}")
    if embedded_postgres.stop(folder / "postgres"):
        console.print("stopped a PostgreSQL that had outlived its service")
    if (folder / "postgres" / "postmaster.pid").exists():
        raise Refused(
            f"{folder / 'postgres'}: a service that make up did not start still uses this database. Stop it (Ctrl-C "
            "where make serve runs), then run make down again.",
            Exit.STATE,
        )


def destroy(workspace: Workspace, resources: Resources) -> None:
    """Destroy the stack by the engine; what is meant to stay on AWS is named."""
    done = run_shown(workspace, ["destroy", "--yes", "--skip-preview"], expected=len(resources))
    console.print(f"pulumi destroy of {workspace.stack}: {done.summary()}")
    kept = [short_name(resource["urn"]) for resource in resources if resource.get("retainOnDelete")]
    if kept:
        console.print(f"meant to stay after a destroy on AWS: {', '.join(kept)}", soft_wrap=True)
    console.print(f"[bold yellow]{NOTICE}[/]", soft_wrap=True)


def remove(folders: list[Path]) -> None:
    """Remove what make up made, and the common folder with the last stack in it."""
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
            console.print(f"removed {folder}", soft_wrap=True)
    common = folders[0].parent
    if common.exists() and not any(common.iterdir()):
        common.rmdir()


if __name__ == "__main__":
    sys.exit(run_command(main))
