"""``python -m stacks.embedded``: any pulumi command on the embedded cloud, and the accidents one may cause there."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from stacks.configuration import ROOT
from stacks.embedded import NOTICE
from stacks.embedded.engine import Workspace, open_workspace, run_attached
from stacks.embedded.store import Store, Stored
from stacks.terminal import Exit, Refused, console, errors, run_command
from tools.activity import shown
from tools.catalogue import Unavailable
from tools.obtain import obtain


def main(arguments: list[str]) -> int:
    """Parse, say what this is, do it."""
    chosen = _parser().parse_args(arguments)
    errors.print(f"[dim]{NOTICE}[/]", soft_wrap=True)
    root = Path(chosen.root)
    if chosen.command == "reset":
        folder = _existing(root, chosen.stack).parent
        shutil.rmtree(folder)
        console.print(f"removed {folder}", soft_wrap=True)
        return Exit.OK
    if chosen.command == "pulumi":
        return run_attached(_workspace(chosen.stack, root), chosen.arguments)
    store = Store(_existing(root, chosen.stack))
    if chosen.command == "fail":
        store.add_fault(chosen.type, chosen.operation, after=chosen.after)
        when = "after it was done" if chosen.after else "before anything is done"
        console.print(f"the next {chosen.operation} of {chosen.type} will fail, {when}", markup=False, soft_wrap=True)
        return Exit.OK
    return _drift(store, chosen.name, chosen.set, delete=chosen.delete)


def _drift(store: Store, name: str, change: str | None, *, delete: bool) -> int:
    row = _named(store, name)
    if delete:
        store.remove(row)
        console.print(f"deleted {row.type} {row.id} behind Pulumi's back", markup=False, soft_wrap=True)
        return Exit.OK
    path, _, text = (change or "").partition("=")
    if not path or not text:
        raise Refused(f"--set {change}: must be path=value, for example --set backupRetentionPeriod=1.")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    try:
        store.drift(row, path, value)
    except TypeError as part:
        raise Refused(f"--set {change}: {part} of {row.id} is no object; a list can only be set as a whole.") from None
    console.print(f"set {path}={value} on {row.type} {row.id} behind Pulumi's back", markup=False, soft_wrap=True)
    return Exit.OK


def _named(store: Store, name: str) -> Stored:
    """The resource of a URN, or of a logical name when only one has it."""
    found = [row for row in store.all() if name in (row.urn, row.urn.rsplit("::", 1)[-1], row.id)]
    if len(found) != 1:
        kinds = ", ".join(sorted(row.urn for row in found)) or "none"
        raise Refused(f"--name {name}: names {len(found)} resources ({kinds}). Give a URN: pulumi stack --show-urns.")
    return found[0]


def _existing(root: Path, stack: str) -> Path:
    """The memory of a stack's embedded cloud. A stack is a folder's name, never a way to another folder."""
    path = root / stack / "cloud.sqlite"
    if not stack or Path(stack).name != stack or not path.exists():
        raise Refused(f"stack={stack}: there is no embedded cloud of it in {root}. Run make up first.", Exit.STATE)
    return path


def _workspace(stack: str, root: Path) -> Workspace:
    try:
        with shown(errors) as report:
            pulumi = obtain("pulumi", report).path
    except Unavailable as reason:
        raise Refused(f"no pulumi command: {reason}", Exit.MISSING) from None
    return open_workspace(stack, pulumi, root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rows = {
        "pulumi": "run a pulumi command: python -m stacks.embedded pulumi --stack dev -- preview --diff",
        "fail": "let the next operation on a type fail once",
        "drift": "change or delete a resource behind Pulumi's back",
        "reset": "forget a stack's embedded cloud",
    }
    for name, text in rows.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--stack", default="dev")
        command.add_argument("--root", default=str(ROOT / ".embedded"), help="where embedded clouds are kept")
        if name == "pulumi":
            command.add_argument("arguments", nargs="+", help="what to give pulumi, after --")
        elif name == "fail":
            command.add_argument("--type", required=True, help="for example aws:rds/instance:Instance")
            command.add_argument("--operation", default="create", choices=("create", "update", "delete"))
            command.add_argument("--after", action="store_true", help="after it was done; only a create can")
        elif name == "drift":
            command.add_argument("--name", required=True, help="URN, id or logical name")
            command.add_argument("--set", help="path=value; the value is JSON, or else text")
            command.add_argument("--delete", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
