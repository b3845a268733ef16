"""What PostgreSQL's planner is told, for it keeps the plan of a prepared statement until the tables are analyzed anew.

A plan that was made on the empty tables of a new database must not read all of them, or an index of all that runs, at
every call while they fill: so the end of a run among 60,000 took 40 ms, and takes 1.
"""

from __future__ import annotations

from typing import LiteralString

# Of a run that is looked up by its id or thread, the same as status = 'running' by a check of the table, and as
# status = 'pending'. By the status an index of all such runs seems as short a way as the one that finds it.
RUNNING = "worker IS NOT NULL"
PENDING = "worker IS NULL AND ended_at IS NULL"


def few(rows: LiteralString) -> LiteralString:
    """A subquery of these `%(count)s` rows, which the planner takes for one, so that it looks each up in an index.

    It expects 100 rows of a JSON array, and of a limit that it does not know yet a tenth of what there is.
    """
    return f"(SELECT * FROM (SELECT * FROM {rows} LIMIT %(count)s) AS tenth LIMIT %(count)s)"  # noqa: S608  constants
