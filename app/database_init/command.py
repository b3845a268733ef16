"""python -m app database-init: the Job before the first rollout, and before every other one for what is new."""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Mapping

import psycopg
from psycopg.conninfo import make_conninfo

from app import contract
from app.database_init.roles import APP, ROLES, set_up
from app.database_init.secret_store import SecretStore
from app.failures import Exit, Refused
from app.settings import load_settings

PASSWORD_BYTES = 32


def database_init(given: argparse.Namespace) -> list[str]:
    """Does what is missing; what it did, in words without a value."""
    arns = _arns(given.role)
    url = load_settings().database_url
    if url is None:
        raise Refused(f"{contract.ENV_DATABASE_URL} is not set. Set it, without a user and a password.")
    store, said = SecretStore(), list[str]()

    def password_of(role: str) -> str:
        known = store.read(arns[role])
        if known is not None:
            return known
        # Stored before it is set: a run that ends in between leaves a password that the next one sets.
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        store.write(arns[role], password)
        said.append(f"{role}: a new password is in its secret")
        return password

    try:
        owner = _as_owner(url.get_secret_value(), store.read(given.master), given.master)
        with psycopg.connect(owner, autocommit=True) as connection:
            set_up(connection, password_of)
    except psycopg.Error as failure:
        raise Refused(f"PostgreSQL: {str(failure).strip()}", Exit.FAILED) from None
    said.append(f"roles, rights and extensions are in place: {', '.join(ROLES)}")
    if given.pooler:
        users = f'"{APP}" "{password_of(APP)}"\n'
        if store.read(given.pooler) != users:
            store.write(given.pooler, users)
            said.append("the pooler's users are in its secret")
    return said


def _arns(given: list[str]) -> Mapping[str, str]:
    pairs = [pair.partition("=") for pair in given]
    arns = {name: arn for name, _, arn in pairs}
    if set(arns) != set(ROLES):
        raise Refused(f"--role={', '.join(sorted(arns)) or '(absent)'}: give NAME=ARN for each of {', '.join(ROLES)}.")
    return arns


def _as_owner(url: str, text: str | None, arn: str) -> str:
    if text is None:
        raise Refused(f"{arn}: has no value yet. RDS writes it when the instance is made.", Exit.MISSING)
    owner = json.loads(text)
    return make_conninfo(url, user=owner["username"], password=owner["password"], connect_timeout=10)
