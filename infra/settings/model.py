"""What every part of the settings is made of: the closed model, and the forms of its fields."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from infra.quantities import CPU_PATTERN, MEMORY_PATTERN

Cpu = Annotated[str, Field(pattern=CPU_PATTERN)]
Memory = Annotated[str, Field(pattern=MEMORY_PATTERN)]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")]
Count = Annotated[int, Field(ge=1)]
Percent = Annotated[int, Field(ge=10, le=100)]
# By digest: a tag can be moved, and what runs would no longer be what was reviewed.
Image = Annotated[str, Field(pattern=r"^[^@\s:]+(:\d+)?(/[^@\s:]+)*@sha256:[0-9a-f]{64}$")]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
CACHE_NODE = r"^cache\.[a-z0-9]+\.[a-z0-9]+$"
EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
# What CloudWatch Logs takes (API reference, PutRetentionPolicy).
Retention = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
Endpoint = Literal[
    "bedrock-runtime", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "elasticloadbalancing",
    "logs", "monitoring", "secretsmanager", "sqs", "sts", "xray",
]  # fmt: skip


class Model(BaseModel):
    """Frozen, strict, and closed: an unknown key is a mistake, not an extension."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)
