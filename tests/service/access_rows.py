"""One row for every route of the service: the scope it needs, a request that it takes, and what others get.

A new route fails tests/service/test_access.py until it has its row here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from app.security.caller import Scope


@dataclass(frozen=True)
class Row:
    """`others` says what another user gets for the owner's ids: that nothing has them, or something of the user's own.

    Words in braces in path, query and body stand for ids of the owner's: see `Things` in test_access.py.
    """

    scope: Scope | None
    body: Any = None
    status: int = 200
    query: dict[str, str] = field(default_factory=dict[str, str])
    path: dict[str, str] = field(default_factory=dict[str, str])  # parameters that are nobody's
    others: Literal["unknown", "own"] = "unknown"
    finds: bool = False  # the owner's answer names the owner's thread


def _own(scope: Scope, **more: Any) -> Row:
    return Row(scope, others="own", **more)


OPEN = frozenset({"GET /health", "GET /ready", "GET /metrics", "GET /ok"})
"""Without any token."""

RUN: dict[str, Any] = {"assistant_id": "stepwise", "input": {"steps": []}}
DELAYED = {"thread_id": "{delayed_thread_id}", "run_id": "{delayed_run_id}"}
GRAPH = {"assistant_id": "stepwise"}

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
    "POST /assistants/search": _own("read", body={}),
    "POST /assistants/count": _own("read", body={}),
    "GET /assistants/{assistant_id}": _own("read", path=GRAPH),
    "GET /assistants/{assistant_id}/graph": _own("read", path=GRAPH),
    "GET /assistants/{assistant_id}/schemas": _own("read", path=GRAPH),
    "GET /assistants/{assistant_id}/subgraphs": _own("read", path=GRAPH),
    "GET /assistants/{assistant_id}/subgraphs/{namespace}": _own("read", path={**GRAPH, "namespace": "inner"}),
    # threads
    "POST /threads": _own("run", body={}),
    "POST /threads/search": _own("read", body={"ids": ["{thread_id}"]}, finds=True),
    "POST /threads/count": _own("read", body={"ids": ["{thread_id}"]}),
    "GET /threads/{thread_id}": Row("read", finds=True),
    "PATCH /threads/{thread_id}": Row("run", body={"metadata": {"a": 1}}),
    "DELETE /threads/{thread_id}": Row("run", status=204),
    "GET /threads/{thread_id}/state": Row("read", finds=True),
    "POST /threads/{thread_id}/state": Row("run", body={"values": {"steps": ["by hand"]}, "as_node": "last"}),
    "POST /threads/{thread_id}/state/checkpoint": Row(
        "read", body={"checkpoint": {"checkpoint_id": "{checkpoint_id}"}}, finds=True
    ),
    "GET /threads/{thread_id}/state/{checkpoint_id}": Row("read", finds=True),
    "GET /threads/{thread_id}/history": Row("read", finds=True),
    "POST /threads/{thread_id}/history": Row("read", body={}, finds=True),
    "POST /threads/{thread_id}/rollback": Row("run", body={"checkpoint_id": "{checkpoint_id}"}),
    # runs
    "GET /threads/{thread_id}/runs": Row("read", finds=True),
    "POST /threads/{thread_id}/runs": Row("run", body=RUN),
    "POST /threads/{thread_id}/runs/wait": Row("run", body=RUN),
    "POST /threads/{thread_id}/runs/stream": Row("run", body=RUN),
    "GET /threads/{thread_id}/runs/{run_id}": Row("read", finds=True),
    "GET /threads/{thread_id}/runs/{run_id}/join": Row("read"),
    "GET /threads/{thread_id}/runs/{run_id}/stream": Row("read"),
    "POST /threads/{thread_id}/runs/{run_id}/cancel": Row("run", status=202, path=DELAYED),
    # stateless runs
    "POST /runs": _own("run", body=RUN),
    "POST /runs/wait": _own("run", body=RUN),
    "POST /runs/stream": _own("run", body=RUN),
    "POST /workflow/execute": _own("run", body={"graph": "stepwise", "input": {"steps": []}}),
}

for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    for _path in ("/runs/crons", "/runs/crons/{rest:path}", "/threads/{thread_id}/runs/crons", "/store/{rest:path}"):
        ROWS[f"{_method} {_path}"] = _own("read", status=501, path={"rest:path": "x"})
