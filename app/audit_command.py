"""python -m app audit verify: whether every row of the audit log is as it was written."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg.rows import DictRow, dict_row

from app.failures import Exit, Refused
from app.runtime.connection import connection_string
from app.security.audit_chain import Broken, Head, verify, verify_heads
from app.settings import Settings
from app.tables.audit import every_row, hash_of


def audit(given: argparse.Namespace, settings: Settings) -> int:
    """0 when the log is whole; Refused names the first broken row."""
    url = connection_string(settings)()
    try:
        with psycopg.Connection[DictRow].connect(url, row_factory=dict_row) as connection:
            found = verify(every_row(connection))
            seen = {**found.claimed, **_logged(given.heads)}
            verify_heads(seen.items(), partial(hash_of, connection))
    except Broken as broken:
        raise Refused(f"The audit log is broken at {broken}", Exit.STATE) from None
    except psycopg.Error as failure:
        raise Refused(f"The audit log cannot be read ({type(failure).__name__}).", Exit.FAILED) from None
    sys.stdout.write(
        f"whole: {found.rows} rows in {len(found.heads)} chains; {len(seen)} heads seen before are there\n"
    )
    if not given.heads:
        sys.stdout.write("rows cut off the end of a chain show only by --heads, or by a chain begun later\n")
    return Exit.OK


def _logged(files: Iterable[Path]) -> dict[Head, str]:
    """The heads that processes wrote to their logs, one JSON object a line; other lines are passed over."""
    heads: dict[Head, str] = {}
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if '"audit head"' in line:
                try:
                    heads[Head.read(cast("dict[str, Any]", json.loads(line))["head"])] = f"{file}:{number}"
                except (ValueError, LookupError, TypeError, AttributeError):
                    raise Refused(f"--heads {file}:{number}: this line about an audit head cannot be read.") from None
    return heads
