"""python -m stacks.secrets: values go in by standard input and are never seen again."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from stacks.secrets import main, put_value
from stacks.terminal import Exit, Refused, run_command
from tests.aws_account import OTHER_ACCOUNT, aws_account

VALUE = "sk-ant-Zq7-not-to-be-seen"
ROOT = Path(__file__).resolve().parents[2]
Pipe = Callable[[bytes], None]


@pytest.fixture
def session() -> Generator[boto3.Session]:
    """dev's account after pulumi up: entries without values, and one of prod's."""
    with aws_account() as opened:
        client = opened.client("secretsmanager")
        for name in ("agents-dev/jwt-signing-key", "agents-dev/provider/anthropic", "agents-prod/jwt-signing-key"):
            client.create_secret(Name=name)
        yield opened


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Gives the command its standard input."""
    return lambda content: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, bool]:
    capsys.readouterr()
    assert run_command(main, ["list", "--stack", "dev", "--json"]) == Exit.OK
    return {row["name"]: row["hasValue"] for row in json.loads(capsys.readouterr().out)}


def test_a_value_goes_in_and_only_that_it_is_there_comes_out(
    session: boto3.Session, pipe: Pipe, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert listed(capsys) == {"jwt-signing-key": False, "provider/anthropic": False}
    caplog.set_level(logging.DEBUG)
    pipe(f"{VALUE}\n".encode())
    assert run_command(main, ["set", "provider/anthropic", "--stack", "dev"]) == Exit.OK
    said = capsys.readouterr()
    assert listed(capsys) == {"jwt-signing-key": False, "provider/anthropic": True}
    stored = session.client("secretsmanager").get_secret_value(SecretId="agents-dev/provider/anthropic")
    assert stored["SecretString"] == VALUE
    assert "agents-dev/provider/anthropic" in said.out
    assert VALUE not in said.out + said.err + caplog.text


def test_the_list_for_people_says_yes_or_no_and_never_a_value(
    session: boto3.Session, pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(VALUE.encode())
    assert run_command(main, ["set", "jwt-signing-key", "--stack", "dev"]) == Exit.OK
    assert run_command(main, ["list", "--stack", "dev"]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert any("jwt-signing-key" in line and " yes " in line for line in lines)
    assert any("provider/anthropic" in line and " no " in line for line in lines)
    assert VALUE not in "".join(lines)


def test_the_inner_lines_of_a_pem_file_are_kept(session: boto3.Session, pipe: Pipe) -> None:
    pipe(b"-----BEGIN KEY-----\nabc\n-----END KEY-----\n")
    assert run_command(main, ["set", "jwt-signing-key", "--stack", "dev"]) == Exit.OK
    stored = session.client("secretsmanager").get_secret_value(SecretId="agents-dev/jwt-signing-key")
    assert stored["SecretString"] == "-----BEGIN KEY-----\nabc\n-----END KEY-----"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"  \r\n", "is empty"),
        (VALUE.encode() + b"\xff", f"byte {len(VALUE)} is not UTF-8"),
        (b"x" * 65_537, "65537 bytes"),
    ],
)
def test_a_value_that_cannot_be_one_is_refused_and_the_old_one_stays(
    session: boto3.Session, pipe: Pipe, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    pipe(b"old")
    assert run_command(main, ["set", "jwt-signing-key", "--stack", "dev"]) == Exit.OK
    pipe(content)
    assert run_command(main, ["set", "jwt-signing-key", "--stack", "dev"]) == Exit.BAD_INPUT
    shown = capsys.readouterr()
    assert said in shown.err
    assert VALUE not in shown.out + shown.err
    stored = session.client("secretsmanager").get_secret_value(SecretId="agents-dev/jwt-signing-key")
    assert stored["SecretString"] == "old"


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", "jwt-signing-key", VALUE, "--stack", "dev"],
        ["set", "jwt-signing-key", f"--value={VALUE}", "--stack", "dev"],
        ["set", VALUE, "--stack", "dev"],
    ],
)
def test_a_value_among_the_arguments_is_refused_and_not_repeated(
    session: boto3.Session, pipe: Pipe, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    pipe(b"another")
    assert run_command(main, arguments) == Exit.BAD_INPUT
    shown = capsys.readouterr()
    assert VALUE not in shown.out + shown.err
    assert listed(capsys) == {"jwt-signing-key": False, "provider/anthropic": False}


def test_an_entry_that_does_not_exist_is_refused_with_those_that_do(
    session: boto3.Session, pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(VALUE.encode())
    assert run_command(main, ["set", "provider/openai", "--stack", "dev"]) == Exit.BAD_INPUT
    said = capsys.readouterr().err
    assert "pulumi up --stack dev" in said
    assert "Entries: jwt-signing-key, provider/anthropic." in said


def test_a_value_is_not_written_into_another_account(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    with aws_account(OTHER_ACCOUNT) as other:
        other.client("secretsmanager").create_secret(Name="agents-dev/jwt-signing-key")
        pipe(VALUE.encode())
        assert run_command(main, ["set", "jwt-signing-key", "--stack", "dev"]) == Exit.BAD_INPUT
        assert "account.id=" in capsys.readouterr().err
        with pytest.raises(ClientError):
            other.client("secretsmanager").get_secret_value(SecretId="agents-dev/jwt-signing-key")


def test_a_refusal_by_aws_that_quotes_the_value_does_not_get_out(session: boto3.Session) -> None:
    client = session.client("secretsmanager")

    def quoting(**_: object) -> None:
        message = f"Value '{VALUE}' at 'secretString' failed to satisfy constraint"
        raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "PutSecretValue")

    client.meta.events.register("before-call.secrets-manager.PutSecretValue", quoting)
    with pytest.raises(Refused) as refused:
        put_value(client, "agents-dev/jwt-signing-key", VALUE)
    assert refused.value.code is Exit.FAILED
    assert "ValidationException" in str(refused.value)
    assert refused.value.__context__ is None
    assert VALUE not in "".join(traceback.format_exception(refused.value))


def test_at_a_terminal_the_value_is_asked_for_and_not_echoed() -> None:
    """The real prompt on a real terminal; AWS is left out of it, because moto ends with this process."""
    program = "from stacks.secrets import read_value; print(len(read_value('Value: ')), 'characters')"
    controller, terminal = pty.openpty()
    try:
        # A session of its own has no controlling terminal, so that the prompt cannot reach the developer's.
        with subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=terminal, stdout=terminal, stderr=terminal, cwd=ROOT, start_new_session=True,
        ) as process:  # fmt: skip
            os.close(terminal)
            shown = b""
            while b"Value: " not in shown:
                shown += os.read(controller, 1024)
            os.write(controller, f"{VALUE}\n".encode())
            while b"characters" not in shown:
                shown += os.read(controller, 1024)
            assert process.wait(30) == 0
    finally:
        os.close(controller)
    assert f"{len(VALUE)} characters" in shown.decode()
    assert VALUE not in shown.decode()
