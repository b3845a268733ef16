"""What a real API server refuses, the user of pulumi reads; what it would not change, the engine replaces."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import ApiError, Manifest
from tests.cluster.control_plane import ControlPlane
from tests.cluster.custom_resources import definitions
from tests.cluster.manifests import NAMESPACE, NEVER_READY, NEWER, deployment, manifest, pod
from tests.cluster.nodes import launch
from tests.cluster.running import objects
from tests.environments import settings_of

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def namespace(server: ControlPlane) -> None:
    """A namespace with Pod Security restricted, and nodes of dev."""
    launch(server, settings_of("dev"))
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    server.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    for definition in definitions(server.definitions, "karpenter"):
        server.api.apply(definition)


def node_pool(**changes: Any) -> Manifest:
    reference = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "workers"}
    template: Manifest = {"spec": {"nodeClassRef": reference, "requirements": []}}
    spec = {"template": template, **changes}
    return {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "pool"}, "spec": spec}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(
            deployment("web", container={"imagePullPolice": "Always"}),
            "imagePullPolice: field not declared in schema",
            id="an unknown field",
        ),
        pytest.param(
            deployment("web", strategy={"type": "Gradual"}),
            'supported values: "Recreate", "RollingUpdate"',
            id="a word that is no choice",
        ),
        pytest.param(
            pod("web", container={"securityContext": {"privileged": True}}),
            'violates PodSecurity "restricted',
            id="a privileged pod",
        ),
        pytest.param(node_pool(weight=200), "should be less than or equal to 100", id="a custom resource's number"),
    ],
)
def test_a_broken_object_is_refused_in_preview_in_the_server_s_words(
    tmp_path: Path, pulumi: Path, server: ControlPlane, broken: Manifest, said: str
) -> None:
    outcome = objects(tmp_path, pulumi, server, broken).preview()
    assert outcome.code != 0
    assert said in outcome.text


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(
            node_pool(disruption={"consolidateAfter": "soon"}),
            "spec.disruption.consolidateAfter",
            id="a custom resource's pattern",
        ),
        pytest.param(node_pool(speed="high"), "speed: field not declared in schema", id="its unknown field"),
        pytest.param(
            manifest("policy/v1", "PodDisruptionBudget", "web", spec={"minAvailable": 1, "maxUnavailable": 1}),
            "minAvailable and maxUnavailable cannot be both set",
            id="two fields that exclude each other",
        ),
    ],
)
def test_the_dry_run_that_a_preview_asks_for_finds_every_rule_of_a_schema(
    server: ControlPlane, broken: Manifest, said: str
) -> None:
    with pytest.raises(ApiError, match=re.escape(said)):
        server.api.apply(broken, dry_run=True)


def test_a_kind_without_its_definition_is_planned_and_then_refused(
    tmp_path: Path, pulumi: Path, server: ControlPlane
) -> None:
    cloud = objects(tmp_path, pulumi, server, manifest("example.com/v1", "Unheard", "of"))
    assert cloud.must_preview().kinds() == {("Unheard", "create"): 1}  # a release of the same update may bring it
    refused = cloud.up()
    assert refused.code != 0
    assert 'no matches for kind "Unheard" in version "example.com/v1"' in refused.text


def configuration(colour: str) -> Manifest:
    return manifest("v1", "ConfigMap", "map", data={"colour": colour})


ROLE = manifest(
    "rbac.authorization.k8s.io/v1",
    "Role",
    "reader",
    rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
)


def test_a_change_is_what_the_server_takes_for_one(tmp_path: Path, pulumi: Path, server: ControlPlane) -> None:
    def web(cpu: str, **more: Any) -> Manifest:
        return deployment("web", container={"resources": {"requests": {"cpu": cpu}}}, **more)

    cloud = objects(tmp_path, pulumi, server, web("1000m"), configuration("blue"))
    cloud.must_up()
    live = server.api.one("apps/v1", "Deployment", "web", NAMESPACE)
    assert live["status"]["availableReplicas"] == 2  # it was waited for
    assert cloud.planned() == {}

    assert objects(tmp_path, pulumi, server, web("1"), configuration("blue")).planned() == {}
    newer = objects(tmp_path, pulumi, server, web("1", image=NEWER), configuration("blue"))
    assert newer.planned() == {"Deployment-web": "update"}
    other = objects(tmp_path, pulumi, server, web("1", app="other"), configuration("red"))
    assert other.planned() == {"Deployment-web": "replace", "ConfigMap-map": "replace"}
    other.must_up()
    assert other.planned() == {}
    assert other.destroy().code == 0
    assert server.api.all("v1", "Pod", NAMESPACE) == []


def test_what_somebody_else_changed_or_took_away_is_found_and_mended(
    tmp_path: Path, pulumi: Path, server: ControlPlane
) -> None:
    cloud = objects(tmp_path, pulumi, server, ROLE, configuration("blue"))
    cloud.must_up()
    server.api.merge(configuration("blue"), {"metadata": {"labels": {"seen": "yes"}}})
    assert cloud.refresh().code == 0
    assert cloud.planned() == {}  # a label that is not the program's is nobody's drift
    server.api.apply(configuration("green"), manager="somebody")
    server.api.delete(ROLE)
    assert cloud.refresh().code == 0
    assert cloud.must_up().effects() == {"ConfigMap-map": "replace", "Role-reader": "create"}
    assert server.api.one("v1", "ConfigMap", "map", NAMESPACE)["data"] == {"colour": "blue"}
    assert cloud.destroy().code == 0
    assert server.api.get(ROLE) is None


def test_a_field_that_somebody_else_owns_is_a_conflict_that_names_them(
    tmp_path: Path, pulumi: Path, server: ControlPlane
) -> None:
    cloud = objects(tmp_path, pulumi, server, deployment("shared"))
    cloud.must_up()
    server.api.apply(deployment("shared", NEWER), manager="somebody")
    refused = objects(tmp_path, pulumi, server, deployment("shared", NEVER_READY)).up()
    assert refused.code != 0
    assert 'conflict with "somebody"' in refused.text
    assert cloud.destroy().code == 0


def test_a_rollout_that_never_gets_ready_fails_with_its_reason_and_the_next_up_mends_it(
    tmp_path: Path, pulumi: Path, server: ControlPlane
) -> None:
    failed = objects(tmp_path, pulumi, server, deployment("late", NEVER_READY, progressDeadlineSeconds=2)).up()
    assert failed.code != 0
    assert "Deployment demo/late did not become ready" in failed.text
    assert "has timed out progressing" in failed.text
    cloud = objects(tmp_path, pulumi, server, deployment("late"))
    cloud.must_up()
    assert cloud.planned() == {}
    assert cloud.destroy().code == 0


def test_an_object_that_is_there_already_is_not_taken_over(tmp_path: Path, pulumi: Path, server: ControlPlane) -> None:
    quota = manifest("v1", "ResourceQuota", "theirs", spec={"hard": {"pods": "100"}})
    server.api.apply(quota, manager="somebody")
    refused = objects(tmp_path, pulumi, server, quota).up()
    assert refused.code != 0
    assert 'resourcequota "demo/theirs" already exists' in refused.text
    assert server.api.get(quota) is not None


def test_a_deletion_that_a_finalizer_holds_up_says_which(tmp_path: Path, pulumi: Path, server: ControlPlane) -> None:
    held = manifest("v1", "ConfigMap", "held")
    cloud = objects(tmp_path, pulumi, server, held, patience=1)
    cloud.must_up()
    server.api.merge(held, {"metadata": {"finalizers": ["example.com/wait"]}})
    refused = cloud.destroy()
    assert refused.code != 0
    assert "example.com/wait" in refused.text
    server.api.merge(held, {"metadata": {"finalizers": None}})
    assert cloud.destroy().code == 0
