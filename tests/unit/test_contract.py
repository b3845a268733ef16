"""What the platform asks of the image is what the service offers, and nothing is asked that nobody declares."""

from __future__ import annotations

import re

import pytest

from app import contract
from app.security.limit_settings import LimitSettings
from app.security.sign_in_settings import SignInSettings
from infra.kubernetes import custom_metrics, shutdown
from infra.kubernetes.service_environment import MAY_NOT_SET
from infra.settings.service import SignIn
from tests.environments import graph_of, pod_of, settings_of

ENVIRONMENT = {value for name, value in vars(contract).items() if name.startswith("ENV_")}
TRACING = {value for name, value in vars(contract).items() if name.startswith("OTEL_")}
METRICS = {value for name, value in vars(contract).items() if name.startswith("METRIC_")}
STACKS = ["dev", "prod"]
WORKLOADS = ["agent-api", "agent-workers"]


def variables(stack: str, workload: str) -> dict[str, object]:
    return {row["name"]: row["value"] for row in pod_of(graph_of(stack), workload)["containers"][0]["env"]}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_variable_of_a_pod_is_one_the_service_reads_and_no_one_else_may_set_it(stack: str, workload: str) -> None:
    names = set(variables(stack, workload))
    assert names - {"AWS_REGION"} <= ENVIRONMENT | TRACING
    # These may be set: somebody may have a proxy of their own before the load balancer, or a collector elsewhere.
    assert names <= MAY_NOT_SET | TRACING | {contract.ENV_TRUSTED_PROXIES}
    assert names >= TRACING


@pytest.mark.parametrize("stack", STACKS)
def test_the_service_takes_a_clients_address_from_the_load_balancer_and_from_nobody_else(stack: str) -> None:
    trusted = LimitSettings.model_validate(
        {"trusted_proxies": variables(stack, "agent-api")[contract.ENV_TRUSTED_PROXIES]}
    ).trusted_proxies
    graph = graph_of(stack)
    balancer = graph.one("aws:lb/loadBalancer:LoadBalancer")
    its_subnets = set(balancer.property_dependencies["subnets"])
    subnets = graph.of_type("aws:ec2/subnet:Subnet")
    assert {str(block) for block in trusted} == {row.inputs["cidrBlock"] for row in subnets if row.urn in its_subnets}


@pytest.mark.parametrize("stack", STACKS)
def test_every_variable_the_service_reads_is_set_for_it_or_may_be_set_for_it(stack: str) -> None:
    free = ENVIRONMENT - MAY_NOT_SET
    settings = settings_of(stack, {"service.environment": dict.fromkeys(sorted(free), "x")})
    assert set(settings.service.environment) == free
    in_pods = set(variables(stack, "agent-api")) | set(variables(stack, "agent-workers"))
    left_alone = {
        contract.ENV_PORT,  # probes, Service and policies know the default
        contract.ENV_ROLE,  # by the command
        contract.ENV_PROCESSES,  # one process a container: the HPA counts containers
        contract.ENV_DATA_DIRECTORY,  # of the embedded PostgreSQL
        contract.ENV_DATABASE_DIRECT_URL,  # only behind a pooler
        contract.ENV_WEBHOOK_PRIVATE_HOSTS,  # the network policies let nothing out to them
    }
    assert MAY_NOT_SET - in_pods <= left_alone


def test_the_issuer_of_the_settings_is_the_one_whose_tokens_the_service_takes() -> None:
    issuer = {
        "issuer": "https://id.example.com/realms/agents",
        "audiences": ["agents", "agents-cli"],
        "jwksUrl": "https://keys.example.com/jwks.json",
        "algorithm": "ES256",
        "userClaim": "email",
        "tenantClaim": "org.id",
        "scopesClaim": "realm_access.roles",
        "scopes": {"agent-user": ["read", "run"], "ops": ["admin"]},
        "defaultScopes": ["read"],
    }
    assert set(issuer) == {field.alias for field in SignIn.model_fields.values()}
    [container] = pod_of(graph_of("dev", {"service.signIn": issuer}), "agent-api")["containers"]
    given = {row["name"]: row["value"] for row in container["env"] if row["name"].startswith("AGENT_AUTH_")}
    read = SignInSettings(auth="on", **{name.removeprefix("AGENT_").lower(): value for name, value in given.items()})
    assert (read.auth_issuer, read.auth_audience) == (issuer["issuer"], ("agents", "agents-cli"))
    assert (read.auth_jwks_url, read.auth_algorithm) == (issuer["jwksUrl"], "ES256")
    assert (read.auth_user_claim, read.auth_tenant_claim) == ("email", "org.id")
    assert (read.auth_scopes_claim, read.auth_default_scopes) == ("realm_access.roles", ("read",))
    assert read.auth_scope_names == ("agent-user=read", "agent-user=run", "ops=admin")


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_ports_probes_user_and_drain_are_those_of_the_image(stack: str, workload: str) -> None:
    pod = pod_of(graph_of(stack), workload)
    [container] = pod["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": contract.PORT,
        "metrics": contract.METRICS_PORT,
    }
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": contract.LIVE_PATH, "liveness": contract.LIVE_PATH, "readiness": contract.READY_PATH}
    assert pod["securityContext"]["runAsUser"] == contract.USER_ID
    assert float(str(variables(stack, workload)[contract.ENV_DRAIN_SECONDS])) == contract.DRAIN_SECONDS


def test_the_pre_stop_sleep_is_what_the_services_drain_was_chosen_with() -> None:
    # "Spot gives 120 s in all, the preStop sleep takes 15 s": app/contract.py.
    assert shutdown.PRE_STOP_SECONDS == 15
    assert shutdown.grace_seconds(settings_of("prod")) < shutdown.SPOT_NOTICE_SECONDS == 120


def test_every_metric_that_scaling_asks_for_is_one_the_service_has() -> None:
    asked = set(re.findall(r"agent_[a-z_]+", str(custom_metrics.adapter_rules())))
    assert asked == {contract.METRIC_ACTIVE_WORKFLOWS, contract.METRIC_QUEUE_DEPTH}
    assert asked <= METRICS
