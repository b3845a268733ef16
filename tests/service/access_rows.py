"""One row for every route of the service: the scope it needs, a request that it takes, and what others get.

A new route fails tests/service/test_access.py until it has its row here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from app.security.caller import Scope


@dataclass(frozen=True)
class Row:
    """`others` says what another user gets for the owner's ids: that nothing has them, something of the user's own, or,
    as an administrator of the same tenant, what the owner would get.

    Words in braces in path, query and body stand for ids of the owner's: see `Things` in test_access.py.
    """

    scope: Scope | None
    body: Any = None
    status: int = 200
    query: dict[str, str] = field(default_factory=dict[str, str])
    path: dict[str, str] = field(default_factory=dict[str, str])  # parameters that are nobody's
    others: Literal["unknown", "own", "tenant"] = "unknown"
    lasts: bool = False  # its answer has no end
    finds: str | None = None  # the owner's answer names this thing of the owner's


def _own(scope: Scope, **more: Any) -> Row:
    return Row(scope, others="own", **more)


OPEN = frozenset({"GET /health", "GET /ready", "GET /metrics", "GET /ok"})
"""Without any token."""

RUN: dict[str, Any] = {"assistant_id": "stepwise", "input": {"steps": []}}
DELAYED = {"thread_id": "{delayed_thread_id}", "run_id": "{delayed_run_id}"}
CRON: dict[str, Any] = {"assistant_id": "stepwise", "schedule": "0 0 1 1 *"}
ITEM: dict[str, Any] = {"namespace": ["notes", "{item_key}"], "key": "{item_key}"}

ROWS: dict[str, Row] = {
    # FastAPI's own
    "GET /openapi.json": Row(None, others="own"),
    "GET /docs": Row(None, others="own"),
    "GET /docs/oauth2-redirect": Row(None, others="own"),
    "GET /redoc": Row(None, others="own"),
    # service
    "GET /info": _own("read"),
    "GET /queue": _own("admin"),
    # assistants
    "POST /assistants": _own("run", body={"graph_id": "stepwise"}),
    "POST /assistants/search": _own("read", body={"limit": 1000}, finds="assistant_id"),
    "POST /assistants/count": _own("read", body={}),
    "GET /assistants/{assistant_id}": Row("read", finds="assistant_id"),
    "PATCH /assistants/{assistant_id}": Row("run", body={"name": "another"}),
    "DELETE /assistants/{assistant_id}": Row("run", status=204),
    "GET /assistants/{assistant_id}/graph": Row("read"),
    "GET /assistants/{assistant_id}/schemas": Row("read"),
    "GET /assistants/{assistant_id}/subgraphs": Row("read"),
    "GET /assistants/{assistant_id}/subgraphs/{namespace}": Row("read", path={"namespace": "inner"}),
    "POST /assistants/{assistant_id}/versions": Row("read", body={}, finds="assistant_id"),
    "POST /assistants/{assistant_id}/latest": Row("run", body={"version": 1}),
    # threads
    "POST /threads": _own("run", body={}),
    "POST /threads/search": _own("read", body={"ids": ["{thread_id}"]}, finds="thread_id"),
    "POST /threads/count": _own("read", body={"ids": ["{thread_id}"]}),
    "GET /threads/{thread_id}": Row("read", finds="thread_id"),
    "PATCH /threads/{thread_id}": Row("run", body={"metadata": {"a": 1}}),
    "DELETE /threads/{thread_id}": Row("run", status=204),
    "GET /threads/{thread_id}/state": Row("read", finds="thread_id"),
    "POST /threads/{thread_id}/state": Row("run", body={"values": {"steps": ["by hand"]}, "as_node": "last"}),
    "POST /threads/{thread_id}/state/checkpoint": Row(
        "read", body={"checkpoint": {"checkpoint_id": "{checkpoint_id}"}}, finds="thread_id"
    ),
    "GET /threads/{thread_id}/state/{checkpoint_id}": Row("read", finds="thread_id"),
    "GET /threads/{thread_id}/history": Row("read", finds="thread_id"),
    "POST /threads/{thread_id}/history": Row("read", body={}, finds="thread_id"),
    "POST /threads/{thread_id}/rollback": Row("run", body={"checkpoint_id": "{checkpoint_id}"}),
    "POST /threads/{thread_id}/copy": Row("run"),
    "POST /threads/prune": _own("run", body={"thread_ids": ["{thread_id}"]}),
    # runs
    "GET /threads/{thread_id}/runs": Row("read", finds="thread_id"),
    "POST /threads/{thread_id}/runs": Row("run", body=RUN),
    "POST /threads/{thread_id}/runs/wait": Row("run", body=RUN),
    "POST /threads/{thread_id}/runs/stream": Row("run", body=RUN),
    "GET /threads/{thread_id}/runs/{run_id}": Row("read", finds="thread_id"),
    "GET /threads/{thread_id}/runs/{run_id}/join": Row("read"),
    "GET /threads/{thread_id}/runs/{run_id}/stream": Row("read"),
    "POST /threads/{thread_id}/runs/{run_id}/cancel": Row("run", status=202, path=DELAYED),
    "DELETE /threads/{thread_id}/runs/{run_id}": Row("run", status=204),
    # thread streams
    "POST /threads/{thread_id}/commands": Row(
        "run", body={"id": 1, "method": "input.respond", "params": {"interrupt_id": "0" * 32, "response": 1}}
    ),
    "POST /threads/{thread_id}/stream/events": Row("read", body={"channels": ["lifecycle"]}, lasts=True),
    "WEBSOCKET /threads/{thread_id}/stream/events": Row("read", status=101, lasts=True),
    "GET /threads/{thread_id}/stream": Row("read", lasts=True),
    # stateless runs
    "POST /runs/batch": _own("run", body=[RUN]),
    "POST /runs/cancel": Row("run", status=204, body={"run_ids": ["{delayed_run_id}"]}),
    "POST /runs": _own("run", body=RUN),
    "POST /runs/wait": _own("run", body=RUN),
    "POST /runs/stream": _own("run", body=RUN),
    "POST /workflow/execute": _own("run", body={"graph": "stepwise", "input": {"steps": []}}),
    # crons
    "POST /runs/crons": _own("run", body=CRON),
    "POST /threads/{thread_id}/runs/crons": Row("run", body=CRON),
    "POST /runs/crons/search": _own("read", body={"limit": 1000}, finds="cron_id"),
    "POST /runs/crons/count": _own("read", body={}),
    "PATCH /runs/crons/{cron_id}": Row("run", body={"enabled": False}),
    "DELETE /runs/crons/{cron_id}": Row("run", status=204),
    # store
    "PUT /store/items": _own("run", status=204, body={"namespace": ["a"], "key": "k", "value": {}}),
    "GET /store/items": _own("read", query={"namespace": "notes.{item_key}", "key": "{item_key}"}, finds="item_key"),
    "DELETE /store/items": _own("run", status=204, body=ITEM),
    "POST /store/items/search": _own("read", body={"limit": 1000}, finds="item_key"),
    "POST /store/namespaces": _own("read", body={"limit": 1000}, finds="item_key"),
    # administrators
    "GET /admin/users/{user}/threads": Row(
        "admin", path={"user": "ada"}, query={"limit": "1000"}, others="tenant", finds="thread_id"
    ),
    "GET /admin/users/{user}/export": Row("admin", path={"user": "ada"}, others="tenant", finds="thread_id"),
    "POST /admin/users/{user}/end": _own("admin", body={}, path={"user": "nobody"}),
    "DELETE /admin/users/{user}": _own("admin", path={"user": "nobody"}),
}
