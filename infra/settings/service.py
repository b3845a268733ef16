"""Settings of the LangGraph service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app import contract
from infra.settings.model import Count, Cpu, Image, Memory, Model, Percent


class Workload(Model):
    """One kind of process: its share of a node, and its HPA's bounds and targets."""

    cpu_request: Cpu
    cpu_limit: Cpu
    memory_request: Memory
    memory_limit: Memory
    min_replicas: Count
    max_replicas: Count
    cpu_percent: Percent = 70
    memory_percent_of_limit: Percent = 80


class Workers(Workload):
    """The processes that execute runs; they scale by their runs too."""

    active_runs: Count = 10  # in one pod, above which there are to be more pods
    queued_runs: Count = 5  # waiting, for each pod


class Vertical(Model):
    """What the VPA may set, and whether it does or only recommends."""

    min_cpu: Cpu = "100m"
    max_cpu: Cpu = "2"
    min_memory: Memory = "128Mi"
    max_memory: Memory = "4Gi"
    controls: tuple[Literal["cpu", "memory"], ...] = ("memory",)
    mode: Literal["Off", "InPlaceOrRecreate"] = "Off"


class BedrockModel(Model):
    """A Bedrock model the service asks, in the order given.

    ``profile`` names a cross-region inference profile's prefix (us, eu, …), whose calls reach the model in each of
    ``regions``.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9.:-]+$")]
    profile: Literal["us", "eu", "apac", "global"] | None = None
    regions: tuple[str, ...] = ()


# On port 443 alone: the network lets nothing else out of the API's pods.
IssuerUrl = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.-]+(/[^\s?#]*)?$")]
Claim = Annotated[str, Field(pattern=r"^[^\s,]+$")]
Scope = Literal["read", "run", "admin"]


class SignIn(Model):
    """An OIDC issuer whose tokens the service takes, beside API keys of its own."""

    issuer: IssuerUrl  # as the tokens' iss has it, letter by letter
    audiences: Annotated[tuple[Claim, ...], Field(min_length=1)]
    jwks_url: IssuerUrl | None = None  # else the issuer's discovery document names it
    algorithm: Literal["RS256", "ES256"] = "RS256"
    user_claim: Claim = "sub"
    tenant_claim: Claim | None = None  # else all users are of one tenant
    scopes_claim: Claim = "scope"
    scopes: dict[Claim, tuple[Scope, ...]] = Field(
        default_factory=dict[str, tuple[Scope, ...]]
    )  # what the claim's values allow; by default read, run and admin are called so
    default_scopes: tuple[Scope, ...] = ()  # what every token of the issuer allows


class Service(Model):
    """The LangGraph service. Without an image the platform comes up and says what to do next."""

    image: Image | None = None
    api: Workload
    workers: Workers
    vertical: Vertical | None = None
    sign_in: SignIn | None = None
    models: tuple[BedrockModel, ...] = ()
    environment: dict[str, str] = Field(
        default_factory=dict[str, str]
    )  # more variables for its processes; a secret is a file, see secrets.mounted
    drain_seconds: Annotated[int, Field(ge=1)] = contract.DRAIN_SECONDS
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")] = "agent"
