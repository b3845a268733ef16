"""Before an ``up``: are settings sound, versions supported on a date, and does AWS offer what they name?

``python -m stacks.check prod`` prints pass, warn, fail or could-not-check for each; it changes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from rich.table import Table

from infra.compatibility import ending_soon, out_of_support
from infra.settings import Settings
from infra.versions import ADD_ONS, unverified
from stacks import migrations, offers, standing, version_offers
from stacks.account import Account, aws_errors, open_account
from stacks.configuration import read_settings
from stacks.findings import FAIL, PASS, UNSEEN, WARN, Finding
from stacks.secrets import entries
from stacks.terminal import Exit, Refused, console, run_command

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

# Less than this to support.through, and nobody has promised what comes after: two months to upgrade and move the date.
NEAR = timedelta(days=60)
_COLOUR = {PASS: "green", WARN: "yellow", FAIL: "red", UNSEEN: "magenta"}


def main(arguments: list[str]) -> int:
    """Run every check of a stack; exit 1 when one fails, or with --strict when one could not be made."""
    parser = argparse.ArgumentParser(prog="python -m stacks.check", description=main.__doc__)
    parser.add_argument("stack", help="which Pulumi.<stack>.yaml")
    parser.add_argument("--on", type=date.fromisoformat, help="judge support on this date (default: today, UTC)")
    parser.add_argument("--offline", action="store_true", help="ask AWS nothing")
    parser.add_argument("--strict", action="store_true", help="what could not be checked fails too")
    parser.add_argument("--profile", help="AWS profile")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    settings = read_settings(chosen.stack)
    found = [Finding("settings", PASS, f"Pulumi.{chosen.stack}.yaml keeps every rule")]
    on = chosen.on or datetime.now(UTC).date()
    found += [*support(settings, on), promise(settings, on), *standing.budget(settings, chosen.stack, on)]
    found += _online(settings, chosen.stack, chosen.profile, offline=chosen.offline)
    _print(found, as_json=chosen.json)
    bad = {FAIL, UNSEEN} if chosen.strict else {FAIL}
    return Exit.FAILED if any(finding.status in bad for finding in found) else Exit.OK


def support(settings: Settings, on: date) -> Iterator[Finding]:
    """Support of the pinned versions on a date."""
    ended, soon = list(out_of_support(settings, on)), list(ending_soon(settings, on))
    yield from (Finding("version support", FAIL, str(problem)) for problem in ended)
    yield from (Finding("version support", WARN, str(problem)) for problem in soon)
    if not ended and not soon:
        yield Finding("version support", PASS, f"every pinned version is supported on {on} and for 90 days more")


def promise(settings: Settings, on: date) -> Finding:
    """How far from a date the promise of support.through still reaches."""
    through = settings.support.through
    left = through - on
    if left < timedelta():
        detail = f"support.through={through}: has passed, so nothing is checked at synthesis. Set a later date."
        return Finding("support promise", FAIL, detail)
    if left < NEAR:
        detail = f"support.through={through}: {left.days} days away, less than {NEAR.days}. Move it; what is refused then is to be upgraded."
        return Finding("support promise", WARN, detail)
    return Finding("support promise", PASS, f"every pinned version is supported through {through}")


def access(account: Account, settings: Settings) -> Iterator[Finding]:
    """Whether every role that the settings name exists (EKS refuses an entry for one that does not), and whether the
    caller is among the deployers: EKS makes nobody else an administrator, so another one would lock itself out."""
    iam = account.session.client("iam")
    named = settings.access
    for arn in (*named.deployers, *named.admins, *named.viewers, *named.break_glass):
        try:
            iam.get_role(RoleName=arn.rsplit("/", 1)[-1])
        except iam.exceptions.NoSuchEntityException:
            yield Finding(
                "access", FAIL, f"access: {arn} does not exist in this account. Make the role, or take it out."
            )
        else:
            yield Finding("access", PASS, f"{arn} exists")
    caller = account.session.client("sts").get_caller_identity()["Arn"]
    # arn:aws:sts::<account>:assumed-role/<role>/<session>
    role = caller.split("/")[1] if ":assumed-role/" in caller else caller.rsplit("/", 1)[-1]
    if any(arn.rsplit("/", 1)[-1] == role for arn in named.deployers):
        yield Finding("caller", PASS, f"{role} is one of access.deployers")
    else:
        yield Finding(
            "caller", FAIL, f"access.deployers: the caller {caller} is not among them and could not use the cluster. "
            "Take one of these roles, or add the caller's.",
        )  # fmt: skip


def mounted(client: SecretsManagerClient, settings: Settings, stack: str) -> Iterator[Finding]:
    """Whether each mounted secret has a value: a pod that mounts an empty one never starts."""
    prefix = f"{settings.name}/"
    held = {entry.name: entry.has_value for entry in entries(client, prefix)} if settings.secrets.mounted else {}
    for name in settings.secrets.mounted:
        if held.get(name):
            yield Finding("secret", PASS, f"{prefix}{name} has a value")
        elif name in held:
            remedy = f"Pipe one into python -m stacks.secrets set {name} --stack {stack}."
            yield Finding("secret", FAIL, f"secrets.mounted={name}: has no value, and pods would wait for it. {remedy}")
        else:
            remedy = "Take it out of secrets.mounted for the first up, which makes the entry."
            yield Finding("secret", FAIL, f"secrets.mounted={name}: has no entry under {prefix} yet. {remedy}")


def _online(settings: Settings, stack: str, profile: str | None, *, offline: bool) -> list[Finding]:
    pins = ", ".join(f"{pin.name} {pin.version}" for pin in unverified(settings.cluster.version))
    unseen = f"Pins that no source shows with Kubernetes {settings.cluster.version}: {pins or 'none'}"
    if offline:
        return [Finding("AWS", UNSEEN, f"AWS was not asked (--offline). {unseen}")]
    try:
        account = open_account(settings, stack, profile)
    except Refused as refusal:
        return [Finding("AWS", UNSEEN, f"{refusal} {unseen}")]
    session = account.session
    questions: dict[str, Callable[[], Iterable[Finding]]] = {
        "access": lambda: access(account, settings),
        "zone": lambda: offers.zones(session.client("ec2"), settings),
        "instance type": lambda: offers.instance_types(session.client("ec2"), settings),
        "kubernetes": lambda: [version_offers.kubernetes(session.client("eks"), settings)],
        "node image": lambda: [version_offers.node_image(session.client("ec2"), settings)],
        "postgresql": lambda: [version_offers.postgresql(session.client("rds"), settings)],
        "valkey": lambda: [version_offers.valkey(session.client("elasticache"))],
        "image": lambda: [standing.image(session.client("ecr"), settings)],
        "backups": lambda: [standing.backups(session.client("rds"), settings, datetime.now(UTC))],
        "alarms": lambda: [standing.alarms(session.client("cloudwatch"), settings)],
        "migrations": lambda: [migrations.look(account, settings)],
        "secret": lambda: mounted(session.client("secretsmanager"), settings, stack),
        "add-on": lambda: offers.add_ons(session.client("eks"), settings.cluster.version, tuple(ADD_ONS.values())),
    }
    found: list[Finding] = []
    for check, question in questions.items():
        try:
            with aws_errors(f"checking {check}"):
                found += question()
        except Refused as refusal:  # the other questions may still be answered
            found.append(Finding(check, UNSEEN, f"{refusal} {unseen}" if check == "add-on" else str(refusal)))
    return found


def _print(found: list[Finding], *, as_json: bool) -> None:
    if as_json:
        console.print_json(data=[asdict(finding) for finding in found])
        return
    table = Table("check", "status", "detail")
    for finding in found:
        table.add_row(finding.check, f"[{_COLOUR[finding.status]}]{finding.status}[/]", finding.detail)
    console.print(table)


if __name__ == "__main__":
    sys.exit(run_command(main))
