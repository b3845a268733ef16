"""Whether the service that was just deployed answers: ready, one question end to end, then some at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx

from stacks.delivery.canary import Standing, Undecided
from stacks.terminal import Exit, Refused

_AT_ONCE, _REQUESTS = 8, 40
_READY_WITHIN = 300.0  # seconds; a rollout's pods and their targets in the load balancer


def smoke(
    address: str,
    key: str = "",
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """A sentence on what was seen; ``key`` signs in. Raises Refused when the service does not answer as it must."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
        deadline = clock() + _READY_WITHIN
        while (reason := _unready(client)) and clock() < deadline:
            sleep(5)
        if reason:
            raise Refused(f"{address}: not ready: {reason}", Exit.FAILED)
        began = clock()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            failures = [found for found in pool.map(_ask, [client] * _REQUESTS) if found]
        if failures:
            raise Refused(f"{address}: {len(failures)} of {_REQUESTS} runs failed: {failures[0]}", Exit.FAILED)
        return f"ready; {_REQUESTS} runs, {_AT_ONCE} at once, in {clock() - began:.1f} s, none failed"


def watched(
    address: str,
    minutes: int,
    key: str,
    standing: Callable[[], Standing],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Ask now, and once a minute until the canary is promoted; the first failure ends it.

    Raises Refused for a failure and for a canary that was taken back, Undecided when the minutes end before it does.
    """
    for _ in range(minutes):
        said = smoke(address, key, sleep=sleep, clock=clock)
        if standing().promoted:
            return said
        sleep(60)
    said = smoke(address, key, sleep=sleep, clock=clock)
    found = standing()
    if not found.promoted:
        waits = f"the canary has not ended in {minutes} minutes ({found.said})"
        raise Undecided(f"{waits}. Nothing was taken back: promote it or abort it (docs/operations/delivery.md).")
    return said


def _unready(client: httpx.Client) -> str:
    try:
        answer = client.get("/ready")
    except httpx.TransportError as failure:
        return type(failure).__name__
    return "" if answer.is_success else f"/ready answered {answer.status_code}"


def _ask(client: httpx.Client) -> str:
    """Why a run failed; empty for one that ended with an answer."""
    question = {"messages": [{"role": "user", "content": "How do I reset my password?"}]}
    try:
        answer = client.post("/workflow/execute", json={"thread_id": str(uuid4()), "input": question})
    except httpx.TransportError as failure:
        return type(failure).__name__
    if answer.status_code == 401:
        return "it answered 401. Set SERVICE_KEY to a key with the scope run: python -m app keys create"
    if not answer.is_success:
        return f"it answered {answer.status_code}"
    return "" if '"answer"' in answer.text else "there is no answer in what it returned"
