"""Values of the secrets that a person brings: written from standard input to Secrets Manager, never shown again."""

from __future__ import annotations

import argparse
import getpass
import json
import logging
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table

from stacks.account import CONFIG, aws_errors, open_account
from stacks.configuration import read_settings
from stacks.terminal import Exit, Refused, console, run_command

if TYPE_CHECKING:  # stubs: for the type checker only
    from mypy_boto3_secretsmanager import SecretsManagerClient

_MAX_BYTES = 65_536  # Secrets Manager quotas, secret value size


@dataclass(frozen=True)
class Entry:
    """A secret's entry in Secrets Manager, as far as anyone may see it."""

    name: str  # without the environment's prefix
    has_value: bool
    last_changed: datetime | None


def main(arguments: list[str]) -> int:
    """Set the value of a secret from standard input, or list the secrets of a stack without their values."""
    parser = argparse.ArgumentParser(prog="python -m stacks.secrets", description=main.__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("set", help="write a value, read from standard input", allow_abbrev=False)
    write.add_argument("name", help="for example jwt-signing-key or provider/anthropic")
    read = commands.add_parser("list", help="every entry: whether it has a value, when it changed", allow_abbrev=False)
    for command in (write, read):
        command.add_argument("--stack", required=True, help="which Pulumi.<stack>.yaml")
        command.add_argument("--profile", help="AWS profile to use instead of the default credentials")
        command.add_argument("--json", action="store_true", help="for machines")
    chosen, surplus = parser.parse_known_args(arguments)
    if surplus:
        # argparse's own message would repeat them, and one is probably the value.
        raise Refused(
            f"{len(surplus)} argument(s) too many (not shown): a value is read from standard input only. "
            "If you gave one here it is in the shell's history: have it replaced, then pipe the new one in."
        )

    settings = read_settings(chosen.stack)
    account = open_account(settings, chosen.stack, chosen.profile)
    client = account.session.client("secretsmanager", config=CONFIG)
    prefix = f"{settings.name}/"
    if chosen.command == "list":
        _show(entries(client, prefix), prefix, as_json=chosen.json)
        return Exit.OK
    require_entry(client, prefix, chosen.name, chosen.stack)
    put_value(client, prefix + chosen.name, read_value(f"Value of {prefix}{chosen.name} (not shown): "))
    if chosen.json:
        sys.stdout.write(json.dumps({"name": chosen.name, "hasValue": True}) + "\n")
    else:
        console.print(f"{prefix}{chosen.name} has a new value.", markup=False)
    return Exit.OK


def entries(client: SecretsManagerClient, prefix: str) -> list[Entry]:
    """The entries below a prefix, by name."""
    found: list[Entry] = []
    with aws_errors("list of secrets"):
        pages = client.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix]}])
        for secret in (secret for page in pages for secret in page["SecretList"]):
            name = secret.get("Name", "")
            if name.startswith(prefix):
                stages = [stage for held in secret.get("SecretVersionsToStages", {}).values() for stage in held]
                found.append(Entry(name.removeprefix(prefix), "AWSCURRENT" in stages, secret.get("LastChangedDate")))
    return sorted(found, key=lambda entry: entry.name)


def require_entry(client: SecretsManagerClient, prefix: str, name: str, stack: str) -> None:
    """Refuse a name without an entry. It is neither sent nor repeated: it may be a value given in the wrong place."""
    known = [entry.name for entry in entries(client, prefix)]
    if name not in known:
        raise Refused(
            f"name: no entry of that name under {prefix}, and only the Pulumi program makes them. "
            f"Entries: {', '.join(known) or 'none yet'}. "
            f"Correct the name, or run pulumi up --stack {stack} first."
        )


def read_value(prompt: str) -> str:
    """A value from standard input: asked for without echo at a terminal, else all of it but its last line end."""
    value = getpass.getpass(prompt) if sys.stdin.isatty() else _piped()
    if not value.strip():
        raise Refused("standard input: is empty, and a secret needs a value. Pipe it in or type it at the prompt.")
    size = len(value.encode())
    if size > _MAX_BYTES:
        raise Refused(f"standard input: {size} bytes, and Secrets Manager holds {_MAX_BYTES}. Is it the right file?")
    return value


def _piped() -> str:
    raw = sys.stdin.buffer.read()
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        where = error.start
    # Outside of the handler: the error holds what was read.
    raise Refused(f"standard input: byte {where} is not UTF-8 text. Encode the value first, in base64 for example.")


def put_value(client: SecretsManagerClient, name: str, value: str) -> None:
    """Write a value. A refusal carries AWS's code only: its message may quote the request, and so may botocore's."""
    logging.getLogger("botocore").setLevel(logging.INFO)  # at DEBUG it logs the bodies of requests
    code = ""
    try:
        client.put_secret_value(SecretId=name, SecretString=value)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "no code")
    except BotoCoreError as error:
        code = type(error).__name__
    if code:  # raised here, outside of the handler, so that no exception that holds the request is chained to it
        raise Refused(
            f"{name}: the AWS call PutSecretValue answered {code}; the value is unchanged. "
            "It needs secretsmanager:PutSecretValue on the entry and kms:GenerateDataKey on its key.",
            Exit.FAILED,
        )


def _show(found: list[Entry], prefix: str, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "name": entry.name,
                "hasValue": entry.has_value,
                "lastChanged": entry.last_changed.isoformat() if entry.last_changed else None,
            }
            for entry in found
        ]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    if not found:
        console.print(f"No entries under {prefix}: pulumi up makes them.", markup=False)
        return
    table = Table("name", "has value", "last changed", title=f"Secrets under {prefix}", title_justify="left")
    for entry in found:
        changed = f"{entry.last_changed:%Y-%m-%d %H:%M %Z}" if entry.last_changed else ""
        table.add_row(entry.name, "yes" if entry.has_value else "[yellow]no[/]", changed)
    console.print(table)


if __name__ == "__main__":
    sys.exit(run_command(main))
