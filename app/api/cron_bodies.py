"""Crons as the SDK makes, changes, finds and reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator
from typing_extensions import TypedDict

from app.api.run_bodies import Breakpoints, RunBody, RunConfig, StreamMode, as_list
from app.api.values import Identifier, JsonObject, SdkBody
from app.runtime.crons import NewCron
from app.runtime.run import Durability, RunRequest
from app.runtime.schedules import check_schedule, check_timezone
from app.tables.crons import Cron, Search, SortKey

CronField = Literal[
    "cron_id", "assistant_id", "thread_id", "end_time", "schedule", "timezone", "created_at", "updated_at", "user_id",
    "payload", "next_run_date", "metadata", "now", "on_run_completed", "enabled", "problem",
]  # fmt: skip

OF_ONE_RUN = {"after_seconds", "checkpoint", "checkpoint_id", "if_not_exists", "priority"}
OnRunCompleted = Literal["delete", "keep"]
# Five fields as cron has them, or one of its names such as @daily.
Schedule = Annotated[str, Field(max_length=256), AfterValidator(check_schedule)]
Timezone = Annotated[str, Field(max_length=64), AfterValidator(check_timezone)]
YEARS = range(2, 9999)


def _in_utc(value: datetime) -> datetime:
    """PostgreSQL knows years that Python does not: what is stored has to be readable in any time zone."""
    try:
        found = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError:
        found = None
    if found is None or found.year not in YEARS:
        raise ValueError(f"has to be in the years {YEARS[0]} to {YEARS[-1]}. Send null for no end")
    return found


Time = Annotated[datetime, AfterValidator(_in_utc)]


class CronBody(RunBody):
    """A cron to make: a run, and when it begins."""

    schedule: Schedule = Field(description="minute, hour, day of month, month, day of week: 0 9 * * MON-FRI")
    timezone: Timezone | None = Field(
        default=None, description="An IANA name such as Europe/Berlin; UTC when left out."
    )
    end_time: Time | None = Field(default=None, description="No run begins later.")
    enabled: bool = True
    on_run_completed: OnRunCompleted = Field(default="delete", description="What becomes of a thread made for a run.")

    @model_validator(mode="after")
    def _nothing_of_one_run(self) -> CronBody:
        foreign = OF_ONE_RUN & self.model_fields_set
        if foreign:
            raise ValueError(f"{min(foreign)}: belongs to a run that begins now. Leave it out")
        return self

    def cron(self, thread_id: str | None) -> NewCron:
        return NewCron(
            assistant_id=self.assistant_id,
            thread_id=thread_id,
            schedule=self.schedule,
            timezone=self.timezone,
            end_time=self.end_time,
            enabled=self.enabled,
            keep_threads=self.on_run_completed == "keep",
            request=self.request(),
            webhook=self.webhook,
            metadata=self.metadata,
            strategy=self.multitask_strategy,
        )


class CronPatch(BaseModel):
    """What to change. Null changes nothing, but that it takes `end_time` away."""

    schedule: Schedule | None = None
    timezone: Timezone | None = None
    end_time: Time | None = None
    enabled: bool | None = None
    on_run_completed: OnRunCompleted | None = None
    webhook: str | None = Field(default=None, min_length=1)
    metadata: JsonObject | None = None
    input: JsonObject | None = None
    config: RunConfig | None = None
    context: JsonObject | None = None
    interrupt_before: Breakpoints = None
    interrupt_after: Breakpoints = None
    stream_mode: Annotated[list[StreamMode] | None, BeforeValidator(as_list)] = Field(default=None, min_length=1)
    stream_subgraphs: bool | None = None
    durability: Durability | None = None

    def changes(self) -> dict[str, Any]:
        """Of the cron itself."""
        found = {
            "schedule": self.schedule,
            "timezone": self.timezone,
            "enabled": self.enabled,
            "keep_threads": None if self.on_run_completed is None else self.on_run_completed == "keep",
            "metadata": self.metadata,
        }
        ends = {"end_time": self.end_time} if "end_time" in self.model_fields_set else {}
        return ends | {name: part for name, part in found.items() if part is not None}

    def request_changes(self) -> dict[str, Any]:
        """Of what it runs."""
        found = {
            "input": self.input,
            "config": self.config.as_langgraph() if self.config else None,
            "context": self.context,
            "interrupt_before": self.interrupt_before,
            "interrupt_after": self.interrupt_after,
            "stream_modes": tuple(self.stream_mode) if self.stream_mode else None,
            "subgraphs": self.stream_subgraphs,
            "durability": self.durability,
        }
        return {name: part for name, part in found.items() if part is not None}


class CronConditions(SdkBody):
    """Which crons are meant. All of the caller's without a condition."""

    assistant_id: str | None = Field(default=None, min_length=1, max_length=256)
    thread_id: Identifier | None = None
    metadata: JsonObject = Field(default_factory=dict[str, Any], description="What a cron's metadata has to hold.")


class CronSearchBody(CronConditions):
    """Which crons, in which order, and which of their fields."""

    enabled: bool | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000_000)
    sort_by: Literal[
        "cron_id", "assistant_id", "thread_id", "created_at", "updated_at", "next_run_date", "end_time"
    ] = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    select: list[CronField] | None = Field(default=None, min_length=1)

    def search(self) -> Search:
        """One more than asked for tells whether there is another page."""
        sort_by: SortKey = "next_run_at" if self.sort_by == "next_run_date" else self.sort_by
        return Search(
            assistant_id=self.assistant_id,
            thread_id=self.thread_id,
            enabled=self.enabled,
            metadata=self.metadata,
            sort_by=sort_by,
            descending=self.sort_order == "desc",
            limit=self.limit + 1,
            offset=self.offset,
        )


class ExistingCron(TypedDict, total=False):
    """A cron as the SDK reads it; all fields, unless a search selects some.

    `problem` says why the newest firing has no run: {"error", "message", "at"}.
    """

    cron_id: str
    assistant_id: str
    thread_id: str | None
    on_run_completed: OnRunCompleted | None
    end_time: datetime | None
    schedule: str
    timezone: str | None
    created_at: datetime
    updated_at: datetime
    payload: dict[str, Any]
    user_id: str | None
    next_run_date: datetime | None
    metadata: dict[str, Any]
    enabled: bool
    problem: dict[str, str] | None


def existing_cron(cron: Cron) -> ExistingCron:
    return ExistingCron(
        cron_id=str(cron.cron_id),
        assistant_id=cron.assistant_id,
        thread_id=cron.thread_id,
        on_run_completed=None if cron.thread_id else "keep" if cron.keep_threads else "delete",
        end_time=cron.end_time,
        schedule=cron.schedule,
        timezone=cron.timezone,
        created_at=cron.created_at,
        updated_at=cron.updated_at,
        payload=_payload(cron),
        user_id=cron.owner or None,
        next_run_date=cron.next_run_at if cron.enabled else None,
        metadata=cron.metadata,
        enabled=cron.enabled,
        problem=cron.problem,
    )


def _payload(cron: Cron) -> dict[str, Any]:
    """What was asked for, under the names it was asked by."""
    request = RunRequest.decoded(bytes(cron.request))
    parts = {
        "assistant_id": cron.assistant_id,
        "schedule": cron.schedule,
        "input": request.input,
        "command": request.command,
        "config": request.config or None,
        "context": request.context,
        "metadata": cron.metadata or None,
        "webhook": bytes(cron.webhook).decode() if cron.webhook else None,
        "interrupt_before": request.interrupt_before,
        "interrupt_after": request.interrupt_after,
        "stream_mode": list(request.stream_modes),
        "stream_subgraphs": request.subgraphs or None,
        "multitask_strategy": cron.strategy,
        "durability": request.durability,
    }
    return {name: part for name, part in parts.items() if part is not None}
