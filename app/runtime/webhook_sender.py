"""Delivers webhooks: taken with a lease, tried again with longer and longer pauses, given up after three days."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.observability.metrics import Metrics
from app.runtime.database import Pool
from app.runtime.problems import InvalidInput
from app.runtime.stream_parts import to_json
from app.runtime.webhook_delivery import ATTEMPT_SECONDS, MOST_AT_ONCE, Courier
from app.tables import webhooks
from app.tables.webhooks import Webhook

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
SHARE = MOST_AT_ONCE // 4  # a user with so many under way has no further one begun: receivers may hang
LEASE_SECONDS = 2 * ATTEMPT_SECONDS
# Standard Webhooks' own schedule: 75 hours in all.
PAUSES = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
GONE = 410  # by the standard: the receiver wants no more of it


class WebhookSender:
    """Every process with a worker has one; a webhook is with one of them at a time."""

    def __init__(self, pool: Pool, courier: Courier, metrics: Metrics) -> None:
        self._pool = pool
        self._courier = courier
        self._metrics = metrics

    async def send_forever(self) -> None:
        sending = dict[asyncio.Task[None], Webhook]()
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    taken = await self._take(list(sending.values()))
                except (OperationalError, PoolTimeout) as failure:
                    log.warning("no webhook taken", extra={"fields": {"error": type(failure).__name__}})
                    taken = []
                for webhook in taken:
                    task = group.create_task(self._send(webhook))
                    sending[task] = webhook
                    task.add_done_callback(sending.pop)
                await asyncio.sleep(LOOK_SECONDS)

    async def _take(self, sending: Sequence[Webhook]) -> list[Webhook]:
        """The longest due, a share at a time, so that each user's are counted before more of them are taken."""
        taken = list[Webhook]()
        async with self._pool.connection() as connection, connection.transaction():
            while room := min(SHARE, MOST_AT_ONCE - len(sending) - len(taken)):
                users = Counter((webhook.tenant, webhook.owner) for webhook in (*sending, *taken))
                full = [user for user, count in users.items() if count >= SHARE]
                found = await webhooks.take_due(connection, room, LEASE_SECONDS, full)
                taken += found
                if len(found) < room:
                    break
        return taken

    async def _send(self, webhook: Webhook) -> None:
        """What goes wrong unseen ends with the lease."""
        try:
            problem, final = await self._attempt(webhook)
            async with self._pool.connection() as connection:
                if problem is None:
                    await webhooks.delivered(connection, webhook.run_id)
                    outcome = "delivered"
                else:
                    pause = None if final or webhook.attempts > len(PAUSES) else PAUSES[webhook.attempts - 1]
                    after = None if pause is None else pause * random.uniform(0.8, 1.2)  # noqa: S311  spreads load
                    await webhooks.failed(connection, webhook, problem, after)
                    outcome = "dead" if after is None else "retried"
        except Exception as failure:
            log.warning("a webhook's attempt is lost", extra={"fields": {"error": type(failure).__name__}})
            return
        self._metrics.webhooks.labels(outcome).inc()
        fields: dict[str, Any] = {"run_id": str(webhook.run_id), "outcome": outcome, "attempt": webhook.attempts}
        if problem:
            fields["reason"] = problem  # an error's name or a status; the address may hold a secret
        log.log(logging.ERROR if outcome == "dead" else logging.INFO, "webhook", extra={"fields": fields})

    async def _attempt(self, webhook: Webhook) -> tuple[str | None, bool]:
        """What went wrong, if anything, and whether it always will."""
        try:
            status = await self._courier.post(
                bytes(webhook.url).decode(),
                str(webhook.run_id),
                webhook.tenant,
                int(webhook.now.timestamp()),
                _body(webhook),
            )
        except InvalidInput as refused:
            return refused.code, True
        except Exception as failure:  # whatever it is, it counts: what fails for ever must not come back for ever
            return type(failure).__name__, False
        return (None, False) if 200 <= status < 300 else (f"status {status}", status == GONE)


def _body(webhook: Webhook) -> bytes:
    """As LangGraph's own server tells it: the run, and the values of its thread."""
    run = dict(webhook.run)
    if run["status"] == "cancelled":
        run["status"] = "interrupted"  # as the SDK knows it
    if run["error"] is None:
        del run["error"]
    values = None if webhook.state is None else orjson.Fragment(bytes(webhook.state))
    # Each part by itself: metadata may hold whole numbers beyond 64 bits, which orjson refuses.
    parts = {name: orjson.Fragment(to_json(part)) for name, part in run.items()}
    return orjson.dumps({**parts, "webhook_sent_at": webhook.now, "values": values})
