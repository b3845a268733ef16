"""Move the pins to what is offered now: EKS's default of each add-on, and the digest behind the image's base.

``python -m stacks.pin`` shows what it would change; ``--apply`` writes infra/versions.py and app/Dockerfile.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from infra.versions import ADD_ONS, KUBERNETES, Pin, unverified
from stacks.account import aws_errors, open_account
from stacks.configuration import ROOT, read_settings
from stacks.image_digest import digest_of
from stacks.terminal import Exit, Refused, console, run_command

if TYPE_CHECKING:
    from mypy_boto3_eks.client import EKSClient

VERSIONS, DOCKERFILE = ROOT / "infra" / "versions.py", ROOT / "app" / "Dockerfile"
_BASE = re.compile(r"^ARG BASE=(?P<image>\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Move:
    """One pin: what stands in the file now, and what is offered."""

    name: str
    now: str
    offered: str


def main(arguments: list[str]) -> int:
    """Show or write the newest pins; exit 1 when something could not be asked."""
    parser = argparse.ArgumentParser(prog="python -m stacks.pin", description=main.__doc__)
    parser.add_argument("--stack", default="dev", help="whose account and region EKS is asked in (default: dev)")
    parser.add_argument("--profile", help="AWS profile")
    parser.add_argument("--apply", action="store_true", help="write what the table shows")
    chosen = parser.parse_args(arguments)
    refusals: list[Refused] = []

    def asked(question: Callable[[], list[Move]]) -> list[Move]:
        try:
            return question()
        except Refused as refusal:  # the other question may still be answered
            refusals.append(refusal)
            return []

    add_ons = asked(lambda: _add_ons(chosen.stack, chosen.profile))
    bases = asked(lambda: base_images(DOCKERFILE.read_text()))
    if chosen.apply:
        today = datetime.now(UTC).date().isoformat()
        _write(VERSIONS, lambda text: with_add_ons(text, add_ons, KUBERNETES, today))
        _write(DOCKERFILE, lambda text: with_bases(text, bases))
    if add_ons or bases:
        _print([*add_ons, *bases], applied=chosen.apply)
    answered = {move.name for move in add_ons}
    left = [pin.name for pin in unverified() if not (chosen.apply and pin.name in answered)]
    left += [image for image in _bases(DOCKERFILE.read_text()) if "@" not in image]
    console.print(f"{len(left)} unverified: {', '.join(left) or 'none'}")
    if refusals:
        raise Refused("\n".join(str(refusal) for refusal in refusals), refusals[0].code)
    return Exit.OK


def _add_ons(stack: str, profile: str | None) -> list[Move]:
    account = open_account(read_settings(stack), stack, profile)
    with aws_errors("asking EKS for the default versions"):
        return defaults(account.session.client("eks"), KUBERNETES, ADD_ONS.values())


def defaults(eks: EKSClient, kubernetes: str, pins: Iterable[Pin]) -> list[Move]:
    """EKS's default version of each add-on for a Kubernetes version. All of them or, by Refused, none."""
    moves: list[Move] = []
    for pin in pins:
        pages = eks.get_paginator("describe_addon_versions").paginate(addonName=pin.name, kubernetesVersion=kubernetes)
        versions = (version for page in pages for row in page["addons"] for version in row.get("addonVersions", []))
        default = next(
            (
                version.get("addonVersion", "")
                for version in versions
                for fit in version.get("compatibilities", [])
                if fit.get("clusterVersion") == kubernetes and fit.get("defaultVersion")
            ),
            None,
        )
        if default is None:
            raise Refused(
                f"versions.ADD_ONS[{pin.name}]: EKS names no default for Kubernetes {kubernetes}. "
                "Pin it by hand from aws eks describe-addon-versions.",
                Exit.FAILED,
            )
        moves.append(Move(pin.name, pin.version, default))
    return moves


def base_images(dockerfile: str) -> list[Move]:
    """The base of the image with the digest that its tag has now. Raises Refused when the registry does not say."""
    tags = {image: image.split("@", maxsplit=1)[0] for image in _bases(dockerfile)}
    return [Move("base image", image, f"{tag}@{digest_of(tag)}") for image, tag in tags.items()]


def _bases(dockerfile: str) -> list[str]:
    return [match["image"] for match in _BASE.finditer(dockerfile)]


def with_add_ons(source: str, moves: Iterable[Move], kubernetes: str, today: str) -> str:
    """infra/versions.py with each add-on's Pin at its new version, shown with one Kubernetes, and its source dated."""
    new = {move.name: move for move in moves}
    if not new:
        return source
    lines = source.splitlines(keepends=True)
    for call, name, version in _pins(source):
        move = new.get(name)
        if move and move.now == version and call.lineno == call.end_lineno:
            line = lines[call.lineno - 1]
            text = f'Pin("{name}", "{move.offered}", EKS_ASKED, ("{kubernetes}",))'
            lines[call.lineno - 1] = line[: call.col_offset] + text + line[call.end_col_offset :]
            del new[name]
    dated = f'EKS_ASKED = "EKS DescribeAddonVersions on {today}"'
    written, count = re.subn(r'^EKS_ASKED = "[^"]*"', dated, "".join(lines), flags=re.MULTILINE)
    if new or count != 1:
        what = ", ".join(f'Pin("{name}", …) on one line' for name in new) or "one line EKS_ASKED"
        raise Refused(f"{VERSIONS.name}: has no {what}. Nothing was written; put it back in that form.", Exit.STATE)
    return written


def _pins(source: str) -> Iterator[tuple[ast.Call, str, str]]:
    """Every Pin of a name and a version in a Python source, with its place."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Name(id="Pin"), args=[ast.Constant(value=str(name)), ast.Constant(value=str(version)), *_]
            ):
                yield node, name, version
            case _:
                pass


def with_bases(dockerfile: str, moves: Iterable[Move]) -> str:
    """The Dockerfile with its base at the new digest."""
    for move in moves:
        dockerfile = dockerfile.replace(f"ARG BASE={move.now}\n", f"ARG BASE={move.offered}\n")
    return dockerfile


def _write(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text()
    after = change(before)
    if after != before:
        path.write_text(after)


def _print(moves: list[Move], *, applied: bool) -> None:
    table = Table("pin", "now", "offered", "written" if applied else "would change")
    for move in moves:
        table.add_row(move.name, escape(move.now), escape(move.offered), "no" if move.now == move.offered else "yes")
    console.print(table)


if __name__ == "__main__":
    sys.exit(run_command(main))
