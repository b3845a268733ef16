"""Settings refuse with variable, value, rule and remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.contract import OTHER_NAMES
from app.failures import Exit, Refused
from app.settings import PREFIX, Settings, load_settings


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX) or name in OTHER_NAMES]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AGENT_PORT", "eighty", "integer"),
        ("AGENT_PORT", "70000", "65535"),
        ("AGENT_PORT", "tcp://10.0.0.1:80", "integer"),
        ("AGENT_LOG_LEVEL", "loud", "DEBUG"),
        ("AGENT_MODEL", "claude", "provider:model"),
        ("AGENT_MODEL_FALLBACKS", "openai:gpt,nonsense", "separated by commas"),
        ("AGENT_MODEL_TIMEOUT_SECONDS", "600", "60"),
        ("AGENT_POOL_MAX_SIZE", "1", "at least 2"),
        ("AGENT_PREPARE_THRESHOLD", "never", "null"),
        ("AGENT_MAX_BODY_BYTES", "0", "1024"),
        ("AGENT_DATABASE_PASSWORD_FILE", "/nowhere/at/all", "no such file"),
        ("AGENT_DATABSE_URL", "postgresql://x", "Did you mean AGENT_DATABASE_URL?"),
    ],
)
def test_a_bad_variable_is_refused_with_its_value_and_a_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Refused) as refused:
        load_settings()
    assert refused.value.code == Exit.BAD_INPUT
    assert str(refused.value).startswith(name)
    assert words in str(refused.value)


def test_a_bad_database_url_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_DATABASE_URL", "postgresql://me:secret-word@host:5432/db?no_such_option=1")
    with pytest.raises(Refused, match="AGENT_DATABASE_URL: not a PostgreSQL") as refused:
        load_settings()
    assert "secret-word" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_ecosystems_names_are_read_and_ours_go_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://theirs/db")
    monkeypatch.setenv("VALKEY_URL", "redis://theirs")
    loaded = load_settings()
    assert loaded.database_url is not None
    assert loaded.database_url.get_secret_value() == "postgresql://theirs/db"
    valkey = loaded.valkey()
    assert valkey is not None
    assert (valkey.host, valkey.port, valkey.tls) == ("theirs", 6379, False)
    monkeypatch.setenv("AGENT_DATABASE_URL", "postgresql://ours/db")
    chosen = load_settings().database_url
    assert chosen is not None
    assert chosen.get_secret_value() == "postgresql://ours/db"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://:secret-word@host", "its scheme is none of"),
        ("rediss://:secret-word@", "names no host"),
        ("rediss://user@host", "user without a password"),
    ],
)
def test_a_bad_valkey_url_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch, url: str, words: str) -> None:
    monkeypatch.setenv("AGENT_VALKEY_URL", url)
    with pytest.raises(Refused, match=words) as refused:
        load_settings()
    assert str(refused.value).startswith("AGENT_VALKEY_URL: ")
    assert "secret-word" not in str(refused.value)


def test_settings_that_contradict_each_other_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENT_POOL_MIN_SIZE", "20")
    with pytest.raises(Refused, match="AGENT_POOL_MIN_SIZE=20: more than AGENT_POOL_MAX_SIZE=10"):
        load_settings()
    monkeypatch.delenv("AGENT_POOL_MIN_SIZE")
    (tmp_path / "password").write_text("x")
    monkeypatch.setenv("AGENT_DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    with pytest.raises(Refused, match="without AGENT_DATABASE_URL"):
        load_settings()


def test_the_command_line_goes_before_the_environment_and_an_empty_variable_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AGENT_PORT", "1234")
    monkeypatch.setenv("AGENT_MODEL", "")
    monkeypatch.setenv("AGENT_PREPARE_THRESHOLD", "null")
    assert load_settings().port == 1234
    assert load_settings(port=0, host=None).port == 0
    assert load_settings().model is None
    assert load_settings().prepare_threshold is None


def test_models_are_tried_in_the_order_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_MODEL", "bedrock_converse:a")
    monkeypatch.setenv("AGENT_MODEL_FALLBACKS", "anthropic:b, openai:c")
    assert load_settings().models == ("bedrock_converse:a", "anthropic:b", "openai:c")


def test_a_password_file_is_read_again_for_every_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from app.runtime.connection import connection_string

    password = tmp_path / "password"
    password.write_text("one\n")
    monkeypatch.setenv("AGENT_DATABASE_URL", "postgresql://agent@host/db")
    monkeypatch.setenv("AGENT_DATABASE_PASSWORD_FILE", str(password))
    current = connection_string(load_settings())
    assert "password=one" in current()
    password.write_text("two")
    assert "password=two" in current()


def test_settings_do_not_show_the_database_url() -> None:
    assert "secret-word" not in repr(Settings(database_url="postgresql://me:secret-word@host/db"))  # pyright: ignore[reportArgumentType]  as the environment gives it
