"""/info, /ok and /queue: what this service is, and how its queue stands."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter
from pydantic import BaseModel

from app import __version__
from app.api.dependencies import ADMIN, ERRORS, READ, AnyService, ReadyService
from app.runtime.run_queue import QueueStatistics

router = APIRouter(tags=["service"], responses={status: ERRORS[status] for status in (500, 503)})


class Flags(BaseModel):
    """Which parts of the LangGraph API there are; the names are its own."""

    assistants: bool = True
    crons: bool = True
    langsmith: bool = False


class InfoBody(BaseModel):
    version: str
    langgraph_py_version: str
    flags: Flags
    graphs: list[str]


class OkBody(BaseModel):
    ok: bool = True


@router.get("/info", operation_id="info", dependencies=[READ])
async def info(service: AnyService) -> InfoBody:
    """Versions, features, and the graphs served here."""
    return InfoBody(
        version=__version__, langgraph_py_version=version("langgraph"), flags=Flags(), graphs=service.graphs.names
    )


@router.get("/ok", operation_id="ok")
async def ok() -> OkBody:
    """The process answers; LangGraph's name for /health."""
    return OkBody()


@router.get("/queue", operation_id="queue_statistics", dependencies=[ADMIN])
async def queue(service: ReadyService) -> dict[str, QueueStatistics]:
    """By priority: runs that wait, that are to start later, and that run."""
    return await service.queue.statistics()
