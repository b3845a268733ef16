"""Charts that a Go module ships: rendered by Helm with our values, and admitted by the real API server.

Of the others there is only a list of keys (tests/program/chart_keys.py).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from infra.system_pods import system_pod
from stacks.embedded.kubernetes import RELEASE
from stacks.wire import revealed
from tests.cluster.api import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.cluster.custom_resources import SOURCES, module_folder
from tests.environments import graph_of
from tests.program.chart_keys import unknown
from tools.catalogue import KUBERNETES_VERSION, Unavailable
from tools.obtain import find

pytestmark = pytest.mark.cluster

# Chart → the module that ships it. metrics-server is EKS's add-on here, not a chart.
SHIPPED_BY = {
    "karpenter-crd": "karpenter",
    "karpenter": "karpenter",
    "vertical-pod-autoscaler": "vertical-pod-autoscaler",
}
ACTING: dict[str, Any] = {"service.vertical.mode": "InPlaceOrRecreate"}  # all three parts of the autoscaler


def chart_folder(chart: str) -> Path:
    try:
        return module_folder(SOURCES[SHIPPED_BY[chart]]) / "charts" / chart
    except Unavailable as reason:
        pytest.skip(str(reason))


def release(chart: str) -> dict[str, Any]:
    """What prod installs."""
    return revealed(dict(graph_of("prod", ACTING, preview=False).one(RELEASE, chart).inputs))


def rendered(chart: str, folder: Path) -> list[Manifest]:
    helm = find("helm")
    if helm is None:
        pytest.skip("no helm: run make tools")
    wanted, values = release(chart), folder / "values.json"
    values.write_text(json.dumps(wanted.get("values", {})))
    options = ("--namespace", wanted["namespace"], "--values", str(values), "--kube-version", KUBERNETES_VERSION)
    crds = () if wanted.get("skipCrds") else ("--include-crds",)
    command = (str(helm.path), "template", wanted["name"], str(chart_folder(chart)), *options, *crds)
    home = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    made = subprocess.run(command, env=home, capture_output=True, text=True, check=False, timeout=60)
    assert made.returncode == 0, made.stderr
    return [document for document in yaml.load_all(made.stdout, yaml.CSafeLoader) if document]


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a chart's own values; below an empty map or a label anything goes."""
    return {
        key: known(cast("Mapping[str, Any]", value))
        if isinstance(value, dict) and key != "nodeSelector" and value
        else None
        for key, value in values.items()
    }


@pytest.mark.parametrize("chart", SHIPPED_BY)
def test_every_value_is_a_key_of_the_chart_s_own_values(chart: str) -> None:
    own: dict[str, Any] | None = yaml.load((chart_folder(chart) / "values.yaml").read_bytes(), yaml.CSafeLoader)
    assert unknown(release(chart).get("values", {}), known(own or {})) == []


@pytest.mark.parametrize("chart", SHIPPED_BY)
def test_the_server_admits_what_the_chart_makes_of_our_values(chart: str, tmp_path: Path, server: ControlPlane) -> None:
    made = rendered(chart, tmp_path)
    assert made
    for document in made:
        document["metadata"].setdefault("namespace", release(chart)["namespace"])
        server.api.apply(document)


def test_karpenter_and_the_autoscaler_run_with_our_requests_on_the_system_nodes_from_the_cache(tmp_path: Path) -> None:
    deployments = {
        document["metadata"]["name"]: document["spec"]
        for chart in ("karpenter", "vertical-pod-autoscaler")
        for document in rendered(chart, tmp_path)
        if document["kind"] == "Deployment"
    }
    assert len(deployments) == 4
    for name, spec in deployments.items():
        row = system_pod("prod", "karpenter" if name == "karpenter" else "vertical-pod-autoscaler")
        pod = spec["template"]["spec"]
        [container] = pod["containers"]
        wanted = {"cpu": f"{row.cpu_millicores}m", "memory": f"{row.memory_mib}Mi"}
        assert container["resources"]["requests"] == wanted
        assert container["image"].startswith("123456789012.dkr.ecr.us-east-1.amazonaws.com/agents-prod/")
        assert {"key": "CriticalAddonsOnly", "operator": "Exists"} in pod["tolerations"]
    assert deployments["karpenter"]["replicas"] == system_pod("prod", "karpenter").replicas
