"""What a subscription to a thread shows, whichever transport takes it to the client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast

import orjson
from langgraph_sdk.stream.subscription import matches_subscription

from app.api.protocol_bodies import Subscription
from app.api.state_bodies import state_body
from app.runtime.problems import HandedOver
from app.runtime.protocol_events import ProtocolEvent, RunTranslator, run_number
from app.runtime.service import Service
from app.runtime.stream_parts import to_json
from app.security.caller import Caller
from app.tables.run_events import Event


async def first_run(service: Service, caller: Caller, thread_id: str, wanted: Subscription) -> int:
    """The number of the run that it begins with. Raises UnknownThread."""
    begun = await service.thread_streams.begun(caller, thread_id, again=wanted.shows_all)
    return begun if wanted.since is None else run_number(wanted.since)


async def protocol_events(
    service: Service, caller: Caller, thread_id: str, number: int, wanted: Subscription
) -> AsyncGenerator[ProtocolEvent | None]:
    """None when nothing happens. Ends with the thread; raises HandedOver when this process leaves."""
    asked: Any = wanted.model_dump(exclude_none=True, exclude={"since"})
    translator: RunTranslator | None = None
    async for run, item in service.thread_streams.follow(caller, thread_id, number):
        if run is None or item is None:
            yield None
            continue
        if translator is None or translator.run_id != run.run_id:
            translator = RunTranslator(run.number, run.run_id, run.graph_id)
        if isinstance(item, Event):
            told = translator.events(item)
        else:
            asks = item.status == "interrupted" and not translator.asked
            told = translator.end(item, await _questions(service, caller, thread_id) if asks else [])
        for event in told:
            if event["seq"] > (wanted.since or 0) and matches_subscription(cast("Any", event), asked):
                yield event
        if wanted.is_watch and not isinstance(item, Event):
            await service.thread_streams.told(run)
    refuse_to_end(service)


def refuse_to_end(service: Service) -> None:
    """A clean end is that of the thread; where the process leaves the stream breaks off, and clients come again."""
    if service.events.left:
        raise HandedOver("This process stops. Ask another for what happens to the thread.")


async def _questions(service: Service, caller: Caller, thread_id: str) -> list[dict[str, Any]]:
    """Of a run that kept no events, as one that was waited for."""
    state: Any = state_body(await service.threads.state(caller, thread_id))
    return orjson.loads(to_json(state["interrupts"]))
