"""The environment variables of the service's processes, under the names that app/contract.py declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pulumi

from app import contract
from infra.kubernetes import trace_collector
from infra.settings import Settings
from infra.settings.service import BedrockModel, SignIn

SECRETS_PATH = "/var/run/secrets/agent"  # where the secrets are mounted
# X-Ray is paid by the trace, and prod runs 164 million a month (stacks/cost/usage/prod.yaml).
TRACED = {"dev": "1", "prod": "0.01"}
# Set here, or what probes, ports and commands of the pods rely on.
MAY_NOT_SET = frozenset(
    {
        contract.ENV_HOST,
        contract.ENV_PORT,
        contract.ENV_METRICS_PORT,
        contract.ENV_ROLE,
        contract.ENV_PROCESSES,
        contract.ENV_DATA_DIRECTORY,
        contract.ENV_DATABASE_URL,
        contract.ENV_DATABASE_DIRECT_URL,
        contract.ENV_DATABASE_PASSWORD_FILE,
        contract.ENV_POOL_MAX_SIZE,
        contract.ENV_VALKEY_URL,
        contract.ENV_VALKEY_IAM_CACHE,
        contract.ENV_VALKEY_IAM_REGION,
        contract.ENV_WORKER_SLOTS,
        contract.ENV_DRAIN_SECONDS,
        contract.ENV_WEBHOOK_PRIVATE_HOSTS,  # no flow leads there
        "AWS_REGION",
    }
)


def variables(
    settings: Settings,
    role: Literal["api", "workers"],
    database: pulumi.Input[str],
    direct: pulumi.Input[str] | None,
    valkey: pulumi.Input[str],
) -> dict[str, pulumi.Input[str]]:
    """In the pod's template and in no ConfigMap: while a canary runs, the stable pods keep what they were started with.

    Pulumi would delete the ConfigMap of the release before while its pods can still be restarted.
    """
    balancer = (zone.public if settings.ingress.host else zone.endpoints for zone in settings.network.zones)
    values: dict[str, pulumi.Input[str]] = {
        # Without it every client would have the load balancer's address, and share one limit.
        contract.ENV_TRUSTED_PROXIES: ",".join(map(str, balancer)),
        **sign_in(settings.service.sign_in),
        **_models(settings.service.models),
        # Somebody may have a collector of their own; before the settings' own.
        contract.OTEL_ENDPOINT: trace_collector.ENDPOINT,
        contract.OTEL_SAMPLER: "parentbased_traceidratio",
        contract.OTEL_SAMPLER_RATIO: TRACED[settings.environment],
        **settings.service.environment,
        "AWS_REGION": settings.region,
        contract.ENV_HOST: "0.0.0.0",  # noqa: S104 - the pod's own address, behind policies
        contract.ENV_METRICS_PORT: str(contract.METRICS_PORT),
        contract.ENV_DATABASE_URL: database,
        contract.ENV_DATABASE_PASSWORD_FILE: f"{SECRETS_PATH}/database-password",
        contract.ENV_POOL_MAX_SIZE: str(settings.database.pool_size),
        contract.ENV_VALKEY_URL: valkey,
        contract.ENV_VALKEY_IAM_CACHE: settings.name,
        contract.ENV_VALKEY_IAM_REGION: settings.region,
        contract.ENV_DRAIN_SECONDS: str(settings.service.drain_seconds),
    }
    if direct is not None:
        values[contract.ENV_DATABASE_DIRECT_URL] = direct
    if role == "workers":
        # Twice the HPA's target: at the target itself a full worker would never ask for another one.
        values[contract.ENV_WORKER_SLOTS] = str(2 * settings.service.workers.active_runs)
    return values


def sign_in(issuer: SignIn | None) -> Mapping[str, str]:
    """Whose tokens are taken. That sign-in is on at all is the image's own."""
    if issuer is None:
        return {}
    values = {
        contract.ENV_AUTH_ISSUER: issuer.issuer,
        contract.ENV_AUTH_AUDIENCE: ",".join(issuer.audiences),
        contract.ENV_AUTH_JWKS_URL: issuer.jwks_url,
        contract.ENV_AUTH_ALGORITHM: issuer.algorithm,
        contract.ENV_AUTH_USER_CLAIM: issuer.user_claim,
        contract.ENV_AUTH_TENANT_CLAIM: issuer.tenant_claim,
        contract.ENV_AUTH_SCOPES_CLAIM: issuer.scopes_claim,
        contract.ENV_AUTH_SCOPE_NAMES: ",".join(
            f"{name}={scope}" for name, scopes in issuer.scopes.items() for scope in scopes
        ),
        contract.ENV_AUTH_DEFAULT_SCOPES: ",".join(issuer.default_scopes),
    }
    return {name: value for name, value in values.items() if value}


def _models(models: tuple[BedrockModel, ...]) -> Mapping[str, str]:
    """As LangChain's init_chat_model names them; an inference profile is asked by its own id."""
    names = [f"bedrock_converse:{f'{model.profile}.' if model.profile else ''}{model.id}" for model in models]
    if not names:
        return {}
    return {contract.ENV_MODEL: names[0], contract.ENV_MODEL_FALLBACKS: ",".join(names[1:])}
