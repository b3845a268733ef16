"""What is measured: each a server and a way to ask it for a run; and what makes an answer a whole one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from app.bench.client import Answer
from app.bench.workload import STEPS

GRAPH = "bench"
Kind = Literal["wait", "stream"]


@dataclass(frozen=True)
class Target:
    """Without a durability the server's own default holds."""

    name: str
    server: str
    durability: str | None = None
    route: Literal["thread", "stateless", "workflow"] = "thread"
    streams: bool = True

    def request(self, kind: Kind, thread_id: str, question: str) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        body: dict[str, Any] = {"input": {"question": question}}
        if self.durability:
            body["durability"] = self.durability
        if self.route == "workflow":
            return f"/workflow/{'execute' if kind == 'wait' else 'stream'}", body | {"thread_id": thread_id}
        body |= {"assistant_id": GRAPH, "stream_mode": ["values"]}
        if self.route == "stateless":
            return f"/runs/{kind}", body
        return f"/threads/{thread_id}/runs/{kind}", body | {"if_not_exists": "create"}


OURS = Target("ours", "ours", "sync")
TARGETS = (
    OURS,
    Target("plain", "plain", "sync", "workflow"),
    Target("ours, signed in", "ours-signed-in", "sync"),
    Target("ours, 2 processes", "ours x2", "sync"),
    Target("ours, limited", "ours limited", "sync", streams=False),
    Target("ours, 2 processes, limited", "ours x2 limited", "sync", streams=False),
    Target("ours, Valkey", "ours-valkey", "sync", streams=False),
    Target("ours, Valkey, signed in", "ours-valkey-signed-in", "sync", streams=False),
    Target("ours, exit", "ours", "exit", streams=False),
    Target("plain, exit", "plain", "exit", "workflow", streams=False),
    Target("ours, async", "ours", "async", streams=False),
    Target("plain, async", "plain", "async", "workflow", streams=False),
    Target("ours, stateless", "ours", "sync", "stateless", streams=False),
    Target("aegra", "aegra"),
    Target("aegra, Redis", "aegra-redis"),
    Target("langhost", "langhost"),
)
QUICK = TARGETS[:10]


def is_whole(kind: Kind, answer: Answer, question: str) -> bool:
    """Whether it is this run's final state, and not an earlier or another one's."""
    body = b"".join(answer.parts)
    if kind == "stream":
        body = body.rpartition(b"event: values")[2].partition(b"data: ")[2].partition(b"\n")[0]
    try:
        values = cast("dict[str, Any]", orjson.loads(body))
        values = values.get("result", values)
        return answer.status == 200 and values["answer"] == question and len(values["notes"]) == STEPS
    except (ValueError, TypeError, LookupError, AttributeError):
        return False
