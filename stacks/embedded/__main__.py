"""``python -m stacks.embedded``: any pulumi command on the embedded cloud, and the accidents one may cause there."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from stacks.configuration import ROOT
from stacks.embedded import NOTICE
from stacks.embedded.engine import open_workspace, run_attached
from stacks.embedded.store import Store, Stored
from stacks.terminal import Exit, Refused, console, errors, run_command, subcommand
from tools.obtain import required


def main(arguments: list[str]) -> int:
    """Parse, say what this is, do it."""
    chosen = _parser().parse_args(arguments)
    errors.print(f"[dim]{NOTICE}[/]", soft_wrap=True)
    root: Path = chosen.root
    if chosen.command == "reset":
        folder = _existing(root, chosen.stack).parent
        shutil.rmtree(folder)
        console.print(f"removed {folder}", soft_wrap=True)
        return Exit.OK
    if chosen.command == "pulumi":
        return run_attached(open_workspace(chosen.stack, required("pulumi"), root), chosen.arguments)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.embedded", description=__doc__)
    add = parser.add_subparsers(dest="command", required=True).add_parser
    pulumi = subcommand(
        add, "pulumi", "run a pulumi command: python -m stacks.embedded pulumi --stack dev -- preview --diff"
    )
    pulumi.add_argument("arguments", nargs="+", help="what to give pulumi, after --")
    fail = subcommand(add, "fail", "let the next operation on a type fail once")
    fail.add_argument("--type", required=True, help="for example aws:rds/instance:Instance")
    fail.add_argument("--operation", default="create", choices=("create", "update", "delete"))
    fail.add_argument("--after", action="store_true", help="after it was done; only a create can")
    drift = subcommand(add, "drift", "change or delete a resource behind Pulumi's back")
    drift.add_argument("--name", required=True, help="URN, id or logical name")
    drift.add_argument("--set", help="path=value; the value is JSON, or else text")
    drift.add_argument("--delete", action="store_true")
    reset = subcommand(add, "reset", "forget a stack's embedded cloud")
    for command in (pulumi, fail, drift, reset):
        command.add_argument("--root", type=Path, default=ROOT / ".embedded", help="where embedded clouds are kept")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
