"""The Jobs before a rollout, from the captured graph."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app import contract
from app.__main__ import COMMANDS
from app.database_init.roles import ROLES
from infra.aws.secrets import DATABASE_ROLES
from stacks.graph import Graph, Resource
from tests.environments import graph_of, pod_of, workload

STACKS = ["dev", "prod"]
JOBS = ["database-init", "migrate"]
PROJECT = "123456789012.dkr.ecr.us-east-1.amazonaws.com/langgraph-agents"


def after(graph: Graph, row: Resource) -> set[str]:
    """URNs of all that is there before a resource is made."""
    seen: set[str] = set()
    waiting = [row.urn]
    while waiting:
        for urn in graph.by_urn(waiting.pop()).dependencies:
            if urn not in seen:
                seen.add(urn)
                waiting.append(urn)
    return seen


def environment(graph: Graph, name: str) -> dict[str, Any]:
    return {row["name"]: row["value"] for row in pod_of(graph, name)["containers"][0]["env"]}


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_serves_before_the_roles_and_then_the_schema_are_there(stack: str) -> None:
    graph = graph_of(stack)
    roles, schema = (workload(graph, name) for name in JOBS)
    assert roles.urn in after(graph, schema)
    for name in ("agent-api", "agent-workers"):
        assert {roles.urn, schema.urn} <= after(graph, workload(graph, name))
    policies = {row.urn for row in graph.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")}
    assert policies <= after(graph, roles)


@pytest.mark.parametrize("job", JOBS)
def test_a_new_image_is_a_new_job_and_a_failed_one_is_made_anew(job: str) -> None:
    images = [f"{PROJECT}@sha256:{digit * 64}" for digit in "ab"]
    rows = [workload(graph_of("dev", {"service.image": image}), job) for image in images]
    assert [row.inputs["metadata"]["name"] for row in rows] == [f"{job}-{digit * 12}" for digit in "ab"]
    assert rows[0].urn == rows[1].urn
    assert rows[0].inputs["metadata"]["annotations"] == {"pulumi.com/replaceUnready": "true"}
    container = rows[0].inputs["spec"]["template"]["spec"]["containers"][0]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize("stack", STACKS)
def test_the_jobs_are_commands_of_the_image_with_its_variables_and_go_to_the_database_itself(stack: str) -> None:
    graph = graph_of(stack, preview=False)
    host = graph.one("aws:rds/instance:Instance").outputs["address"]
    for job in JOBS:
        arguments = pod_of(graph, job)["containers"][0]["args"]
        assert arguments[0] in COMMANDS
        known = {value for name, value in vars(contract).items() if name.startswith("ENV_")}
        assert set(environment(graph, job)) <= {*known, "AWS_REGION"}
        assert f"{host}:5432/" in environment(graph, job)[contract.ENV_DATABASE_URL]


@pytest.mark.parametrize("stack", STACKS)
def test_the_first_job_is_told_of_every_role_and_may_read_and_write_these_secrets_only(stack: str) -> None:
    assert DATABASE_ROLES == ROLES
    graph = graph_of(stack, preview=False)
    secrets = graph.of_type("aws:secretsmanager/secret:Secret")
    arns = {row.inputs["name"].partition("/")[2]: row.outputs["arn"] for row in secrets}
    arguments = pod_of(graph, "database-init")["containers"][0]["args"]
    given = [arguments[number + 1] for number, word in enumerate(arguments) if word == "--role"]
    assert given == [f"{role}={arns[f'database/{role}']}" for role in ROLES]
    policy = graph.one("aws:iam/rolePolicy:RolePolicy", "workloads-database-init-secrets").inputs["policy"]
    reads, writes = json.loads(policy)["Statement"]
    ours = [arn for name, arn in arns.items() if name.startswith("database/")]
    owner = arguments[arguments.index("--master") + 1]
    assert sorted(reads["Resource"]) == sorted([*ours, owner])
    assert sorted(writes["Resource"]) == sorted(ours)
    assert (reads["Effect"], writes["Action"]) == ("Allow", "secretsmanager:PutSecretValue")


def test_without_an_image_there_is_no_job_and_the_output_names_the_command() -> None:
    graph = graph_of("dev", image=False)
    assert not [row for row in graph if row.kind in ("Job", "Deployment", "Rollout")]
    assert "make image STACK=dev" in graph.exports["next"]
