"""Third-party images: through which caches nodes pull them, with which rights, and what stays as it is without."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.kubernetes.charts import IMAGES
from infra.problems import SettingsError
from stacks.graph import Graph, Resource
from tests.admission import refusals
from tests.environments import graph_of, settings_of
from tests.program.test_admission import changed, namespace
from tests.program.test_graph import reaches

STACKS = ["dev", "prod"]
RULE = "aws:ecr/pullThroughCacheRule:PullThroughCacheRule"
TEMPLATE = "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
RELEASE = "kubernetes:helm.sh/v3:Release"
OURS = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
CREDENTIALS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/docker-hub-a1B2c3"
WITH_LOG_IN = {"registry": {"pullThrough": ["docker.io"], "credentials": {"docker.io": CREDENTIALS}}}
WITHOUT: dict[str, Any] = {"registry": {"pullThrough": []}}


def images(graph: Graph) -> dict[tuple[str, str], str | None]:
    """What each chart is told of its images."""
    found: dict[tuple[str, str], str | None] = {}
    for release in graph.of_type(RELEASE):
        for path in IMAGES.get(release.name, {}):
            value: Any = release.inputs.get("values", {})
            for part in path.split("."):
                value = value.get(part, {})
            found[release.name, path] = value or None
    return found


@pytest.mark.parametrize("stack", STACKS)
def test_each_cache_has_a_template_that_keeps_tags_fixed_and_old_images_few(stack: str) -> None:
    graph = graph_of(stack)
    rules = {row.inputs["ecrRepositoryPrefix"]: row for row in graph.of_type(RULE)}
    templates = {row.inputs["prefix"]: row for row in graph.of_type(TEMPLATE)}
    assert {prefix.partition("/")[2] for prefix in rules} == {"public.ecr.aws", "quay.io", "registry.k8s.io"}
    assert rules.keys() == templates.keys()
    for prefix, rule in rules.items():
        assert prefix.startswith(f"agents-{stack}/")
        # CreatePullThroughCacheRule's own bounds
        assert re.fullmatch(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*", prefix)
        assert 2 <= len(prefix) <= 30
        inputs = templates[prefix].inputs
        assert inputs["appliedFors"] == ["PULL_THROUGH_CACHE"]
        assert inputs["imageTagMutability"] == "IMMUTABLE"
        assert json.loads(inputs["lifecyclePolicy"])["rules"][0]["action"] == {"type": "expire"}
        assert reaches(graph, rule, templates[prefix])


@pytest.mark.parametrize("stack", STACKS)
def test_every_image_of_a_chart_comes_through_a_cache_but_those_that_need_a_log_in(stack: str) -> None:
    for (chart, path), image in images(graph_of(stack)).items():
        public = IMAGES[chart][path]
        wanted = None if public.startswith("docker.io") else f"{OURS}/agents-{stack}/{public}"
        assert image == wanted, (chart, path)


def test_docker_hub_is_pulled_through_with_credentials_and_refused_without() -> None:
    graph = graph_of("dev", WITH_LOG_IN)
    [rule] = graph.of_type(RULE)
    assert (rule.inputs["upstreamRegistryUrl"], rule.inputs["credentialArn"]) == ("registry-1.docker.io", CREDENTIALS)
    assert images(graph)["kube-prometheus-stack", "grafana.image.registry"] == f"{OURS}/agents-dev/docker.io"
    with pytest.raises(SettingsError, match=r"registry.pullThrough=docker.io: .*registry.credentials.docker.io"):
        settings_of("dev", {"registry": {"pullThrough": ["docker.io"]}})
    with pytest.raises(SettingsError, match=r"registry.credentials=docker.io: is not one of registry.pullThrough"):
        settings_of("dev", {"registry": {"credentials": {"docker.io": CREDENTIALS}}})


@pytest.mark.parametrize("stack", STACKS)
def test_nodes_may_pull_through_into_repositories_of_their_environment_only_and_come_after_the_caches(
    stack: str,
) -> None:
    graph = graph_of(stack, preview=False)
    policies = [row for row in graph.of_type(ROLE_POLICY) if "ecr:CreateRepository" in str(row.inputs["policy"])]
    assert {row.name for row in policies} == {"system-nodes-pull", "provisioning-node-pull"}
    for policy in policies:
        [statement] = json.loads(policy.inputs["policy"])["Statement"]
        assert sorted(statement["Action"]) == ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"]
        assert statement["Resource"] == f"arn:aws:ecr:us-east-1:123456789012:repository/agents-{stack}/*"
    group = graph.one("aws:eks/nodeGroup:NodeGroup")
    first: list[Resource] = [*graph.of_type(RULE), *graph.of_type(TEMPLATE), *policies[:1]]
    assert all(reaches(graph, group, row) for row in first if row.name != "provisioning-node-pull")
    pools = graph.of_type("kubernetes:karpenter.sh/v1:NodePool")
    assert all(reaches(graph, pool, row) for pool in pools for row in [*graph.of_type(RULE), *policies])


def test_what_was_pulled_through_is_admitted_by_its_digest_and_the_public_image_is_not() -> None:
    image = f"quay.io/prometheuscommunity/pgbouncer-exporter@sha256:{'0' * 64}"

    def refused(name: str) -> list[str]:
        pod = {"apiVersion": "v1", "kind": "Pod", **changed("spec/containers/0/image", name)}
        return list(refusals(graph_of("prod"), pod, namespace("agent")))

    assert refused(f"{OURS}/agents-prod/{image}") == []
    assert any("images come from" in said for said in refused(image))


def test_without_the_setting_there_is_no_cache_no_right_and_charts_name_their_own_images() -> None:
    graph = graph_of("dev", WITHOUT)
    assert graph.of_type(RULE) == graph.of_type(TEMPLATE) == []
    assert not [row for row in graph.of_type(ROLE_POLICY) if row.name.endswith("-pull")]
    assert set(images(graph).values()) == {None}
