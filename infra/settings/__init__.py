"""The one typed, frozen description of an environment, read from the stack's configuration.

Every key of Pulumi.<env>.yaml is a field here and every field can be set there; keys are written in camelCase.
Rules that need more than one field live in infra/rules.py and infra/capacity_rules.py. Nothing here reads a clock, a file or the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from infra.problems import Problem, SettingsError, from_validation
from infra.settings.model import Model
from infra.settings.platform import (
    Access,
    Account,
    Alerts,
    Backup,
    Bootstrap,
    Budget,
    Cache,
    Cluster,
    Database,
    Delivery,
    Ingress,
    Monitoring,
    Network,
    Nodes,
    OffHours,
    Registry,
    Secrets,
    Support,
    Tags,
)  # fmt: skip
from infra.settings.service import Service

PROJECT = "langgraph-eks"


class Settings(Model):
    """One environment, whole."""

    environment: Literal["dev", "prod"]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    account: Account
    tags: Tags
    network: Network
    access: Access
    cluster: Cluster
    nodes: Nodes
    database: Database
    cache: Cache
    service: Service
    budget: Budget
    backup: Backup
    support: Support
    bootstrap: Bootstrap = Bootstrap()
    delivery: Delivery = Delivery()
    secrets: Secrets = Secrets()
    registry: Registry = Registry()
    ingress: Ingress = Ingress()
    alerts: Alerts = Alerts()
    monitoring: Monitoring = Monitoring()
    off_hours: OffHours | None = None
    teardown: bool = False  # the one lever that opens every gate against deletion

    @field_validator("teardown", mode="before")
    @classmethod
    def _from_plain_config(cls, value: object) -> object:
        # `pulumi config set teardown true` stores a string: Pulumi's plain values have no other type.
        return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value

    @property
    def name(self) -> str:
        """The prefix of every physical name: short, because an IAM role name ends at 64 characters."""
        return f"agents-{self.environment}"

    @property
    def role_path(self) -> str:
        """The IAM path of every role, by which a deployment's own rights are bounded to this environment."""
        return f"/{self.name}/"

    @property
    def canary(self) -> bool:
        """Whether the API's new versions come by a canary: only production has the traffic to judge one by."""
        return self.environment == "prod"

    @property
    def protected(self) -> bool:
        """Whether production's gates against deletion are shut."""
        return self.environment == "prod" and not self.teardown


def load(config: Mapping[str, str], project: str = PROJECT) -> Settings:
    """Settings from a stack's flat configuration, as the engine hands it over (objects are JSON strings).

    Raises SettingsError with every problem found, not only the first.
    """
    from infra.rules import problems  # rules import the models above

    raw: dict[str, Any] = {}
    for key, value in config.items():
        namespace, _, field = key.partition(":")
        if namespace == project:
            raw[field] = _decoded(value)
    try:
        settings = Settings.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        raise SettingsError(from_validation(error, Settings)) from None
    found: list[Problem] = list(problems(settings))
    if found:
        raise SettingsError(found)
    return settings


def _decoded(value: str) -> object:
    """Objects and lists arrive as JSON text, everything else is a plain string."""
    if value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
