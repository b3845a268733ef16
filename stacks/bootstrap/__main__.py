"""The command: prints the plan, makes it only with --apply, then says what to paste and what to run next."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from infra.settings.model import EMAIL
from stacks.account import Account, open_account
from stacks.bootstrap.plan import Row, apply, blocked, pending, plan
from stacks.bootstrap.secrets_key import ALIAS
from stacks.bootstrap.state_bucket import bucket_name
from stacks.bootstrap.step import Action, Target
from stacks.configuration import read_settings
from stacks.terminal import Exit, Refused, console, run_command

_COLOURS = {Action.EXISTS: "dim", Action.CREATE: "green", Action.CHANGE: "yellow", Action.BLOCKED: "bold red"}


def main(arguments: list[str]) -> int:
    """Make what an AWS account has once: state bucket, secrets key, GitHub identity, registry, roles, cost monitor."""
    parser = argparse.ArgumentParser(prog="python -m stacks.bootstrap", description=main.__doc__)
    parser.add_argument("env", help="whose Pulumi.<env>.yaml names the account and region")
    parser.add_argument("--apply", action="store_true", help="make what the plan shows; without it nothing is changed")
    parser.add_argument("--reader-account", metavar="ID", help="another account that may pull images (prod's)")
    parser.add_argument(
        "--alert-email", metavar="ADDRESS", action="append", help="who hears of unusual costs (default: alerts.emails)"
    )
    parser.add_argument("--profile", help="AWS profile to use instead of the default credentials")
    parser.add_argument("--json", action="store_true", help="one JSON object, for machines")
    chosen = parser.parse_args(arguments)

    settings = read_settings(chosen.env)
    _check_reader(chosen.reader_account, settings.account.id)
    _check_emails(chosen.alert_email or ())
    account = open_account(settings, chosen.env, chosen.profile)
    target = Target.of(account, chosen.reader_account, tuple(chosen.alert_email or settings.alerts.emails))
    rows = plan(target)
    stuck = blocked(rows)
    applies = chosen.apply and not stuck
    if not chosen.json:
        console.print(_table(rows, account))
    for row in apply(target, rows) if applies else ():
        if not chosen.json:
            console.print(f"  [green]done[/]  {escape(row.step.name)}")
    ready = applies or not (pending(rows) or stuck)
    commands = _next(account, chosen.env) if ready else [_again(chosen)]
    if chosen.json:
        sys.stdout.write(json.dumps(_document(rows, target, commands, applied=applies, ready=ready), indent=2) + "\n")
    elif not stuck:
        _print_outcome(rows, target, commands, chosen.env, ready=ready)
    if stuck:
        raise Refused("\n".join(f"{row.step.name}: {row.finding.reason}" for row in stuck), Exit.STATE)
    return Exit.OK


def _check_reader(reader: str | None, account: str) -> None:
    if reader is None:
        return
    if not re.fullmatch(r"\d{12}", reader):
        raise Refused(f"--reader-account={reader}: an AWS account id has 12 digits. Give the id of prod's account.")
    if reader == account:
        raise Refused(f"--reader-account={reader}: is this account itself, which may pull already. Leave it out.")


def _check_emails(addresses: Sequence[str]) -> None:
    for address in addresses:
        if not re.fullmatch(EMAIL, address):
            raise Refused(f"--alert-email={address}: is no e-mail address. Give one that somebody reads.")


def _table(rows: Sequence[Row], account: Account) -> Table:
    table = Table("step", "action", "reason", title=f"AWS account {account.id}, {account.region}", title_justify="left")
    for row in rows:
        action = row.finding.action
        table.add_row(row.step.name, f"[{_COLOURS[action]}]{action}[/]", escape(row.finding.reason))
    return table


def _print_outcome(rows: Sequence[Row], target: Target, commands: list[str], env: str, *, ready: bool) -> None:
    if not ready:
        console.print(f"{len(pending(rows))} to make; nothing was changed. To make them:")
    else:
        console.print(f"All there. Paste into Pulumi.{env}.yaml, below config:")
        console.print("  langgraph-eks:bootstrap:", markup=False)
        for key, arn in target.arns.settings().items():
            console.print(f"    {key}: {arn}", soft_wrap=True, markup=False)
        console.print("Then:")
    for command in commands:
        console.print(f"  {command}", soft_wrap=True, markup=False)


def _document(
    rows: Sequence[Row], target: Target, commands: list[str], *, applied: bool, ready: bool
) -> dict[str, object]:
    return {
        "account": target.account.id,
        "region": target.account.region,
        "applied": applied,
        "steps": [
            {"step": row.step.name, "action": str(row.finding.action), "reason": row.finding.reason} for row in rows
        ],
        "settings": target.arns.settings() if ready else None,
        "next": commands,
    }


def _next(account: Account, env: str) -> list[str]:
    region = account.region
    return [
        f"pulumi login 's3://{bucket_name(account.id, region)}?region={region}'",
        f'pulumi stack init {env} --secrets-provider="awskms://{ALIAS}?region={region}"',
    ]


def _again(chosen: argparse.Namespace) -> str:
    """The same command with --apply."""
    named = (("--reader-account", chosen.reader_account), ("--profile", chosen.profile))
    options = [f"{name} {value}" for name, value in named if value]
    options += [f"--alert-email {address}" for address in chosen.alert_email or ()]
    return " ".join(["python -m stacks.bootstrap", chosen.env, *options, "--apply"])


if __name__ == "__main__":
    sys.exit(run_command(main))
