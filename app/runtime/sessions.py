"""How long threads may live, by tenant: since their last change, and since they were made."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

Seconds = Annotated[float, Field(gt=0)]


class Session(BaseModel):
    """In seconds; null for ever."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idle_seconds: Seconds | None = None
    absolute_seconds: Seconds | None = None


class Sessions(Session):
    """What holds for everybody, and what tenants have otherwise."""

    tenants: dict[str, Session] = Field(default_factory=dict[str, Session])

    def of_tenants(self) -> dict[str, Session]:
        """Each with what it does not say itself."""
        default = self.model_dump(exclude={"tenants"})
        return {
            tenant: Session.model_validate(default | session.model_dump(exclude_unset=True))
            for tenant, session in self.tenants.items()
        }

    @property
    def end(self) -> bool:
        """Whether any thread's session ever does."""
        every = (self, *self.tenants.values())
        return any(session.idle_seconds or session.absolute_seconds for session in every)


def read_sessions(value: object) -> object:
    """A setting's text; ValueError when it is not JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("not JSON") from None


SessionsSetting = Annotated[Sessions, NoDecode, BeforeValidator(read_sessions)]
