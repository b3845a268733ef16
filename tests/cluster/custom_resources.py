"""CustomResourceDefinitions of the pinned versions: from the Go modules that ship them, and one of our own.

A module is fetched by go, which checks it against the public checksum database, and is held against the sum noted here.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from infra.versions import KARPENTER
from tests.cluster.api import Manifest
from tools.catalogue import Unavailable
from tools.go_build import ENVIRONMENT


@dataclass(frozen=True)
class Source:
    """Files of a Go module. ``module`` is empty for files that lie beside this one."""

    files: tuple[str, ...]
    module: str = ""
    version: str = ""
    sum: str = ""


SOURCES = {
    "karpenter": Source(
        ("pkg/apis/crds/*.yaml",),
        "github.com/aws/karpenter-provider-aws",
        f"v{KARPENTER.version}",
        "h1:WGtIQTQcxpElYMdWfWuPwaF2+9muR+hYhPZsTtoY8Gs=",
    ),
    "argo-rollouts": Source(
        ("manifests/crds/*-crd.yaml",),
        "github.com/argoproj/argo-rollouts",
        "v1.9.1",
        "h1:+oZciUkeJYVb1vPMOhat4JQlk525j/aT2yizEkVkjLs=",
    ),
    # Of ten, the three that the program writes objects of: the others take the server 300 MB.
    "prometheus-operator": Source(
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
            for plural in ("prometheusrules", "servicemonitors", "podmonitors")
        ),
        "github.com/prometheus-operator/prometheus-operator",
        "v0.93.0",
        "h1:AohlYJT+En8TmNpAcEUJ3GsaJTAqfEBwHmGTVpRm/Io=",
    ),
    "vertical-pod-autoscaler": Source(
        ("deploy/vpa-v1-crd-gen.yaml",),
        "k8s.io/autoscaler/vertical-pod-autoscaler",
        "v1.7.1",
        "h1:gHgsammWdCT+vyqrBsCfN7+CJrfy0Mo5k1zfg8Dge7o=",
    ),
    "secrets-store": Source(
        ("config/crd/bases/*.yaml",),
        "sigs.k8s.io/secrets-store-csi-driver",
        "v1.5.3",  # 1.5.4, which the EKS add-on carries, is not in the checksum database
        "h1:SBsYaGmuQN9EIHwi32gaf0k94hyjjeaQ5eWeyqC0lWQ=",
    ),
    # Not served as a Go module: written by us after the reference of its fields.
    "load-balancer-controller": Source(("target_group_binding.yaml",)),
}
# What a chart installs: from its templates, which Helm takes back, or from its crds folder, which Helm leaves.
TEMPLATES = {"karpenter-crd": "karpenter", "prometheus-operator-crds": "prometheus-operator"}
FOLDERS = {
    "aws-load-balancer-controller": "load-balancer-controller",
    "argo-rollouts": "argo-rollouts",
    "karpenter": "karpenter",
    "vertical-pod-autoscaler": "vertical-pod-autoscaler",
}


def prepare(folder: Path) -> None:
    """Put every source's definitions into a folder, for the processes of the engine, which know no go and no home.

    Raises tools.catalogue.Unavailable.
    """
    for name in SOURCES:
        (folder / f"{name}.json").write_text(json.dumps(_from_source(name)))


def definitions(folder: Path, name: str) -> list[Manifest]:
    """The definitions of a source, from the folder they were put into."""
    return json.loads((folder / f"{name}.json").read_text())


def of_release(folder: Path, release: Mapping[str, Any], *, templates_only: bool = False) -> list[Manifest]:
    """The definitions that the installation of a chart brings."""
    chart = str(release["chart"]).rsplit("/", 1)[-1]
    if chart in TEMPLATES:
        return definitions(folder, TEMPLATES[chart])
    if chart in FOLDERS and not templates_only and not release.get("skipCrds"):
        return definitions(folder, FOLDERS[chart])
    return []


@cache
def _from_source(name: str) -> list[Manifest]:
    source = SOURCES[name]
    folder = module_folder(source) if source.module else Path(__file__).parent
    files = sorted(path for pattern in source.files for path in folder.glob(pattern))
    found = [document for path in files for document in yaml.load_all(path.read_bytes(), yaml.CSafeLoader) if document]
    if not found:
        raise Unavailable(f"{source.module} {source.version} has no {' '.join(source.files)}")
    return [{key: value for key, value in definition.items() if key != "status"} for definition in found]


def module_folder(source: Source) -> Path:
    """Where go keeps a source's module, fetched when it is not there. Raises Unavailable."""
    with tempfile.TemporaryDirectory() as outside:  # of any module, whose go.mod would be asked
        try:
            answer = subprocess.run(
                ["go", "mod", "download", "-json", f"{source.module}@{source.version}"],
                cwd=outside,
                env=os.environ | ENVIRONMENT | {"GOFLAGS": ""},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{source.module} {source.version}: {error}") from None
    told = json.loads(answer.stdout or "{}")
    if answer.returncode != 0:
        raise Unavailable(f"{source.module} {source.version}: {told.get('Error') or answer.stderr.strip()}")
    if told["Sum"] != source.sum:
        raise Unavailable(f"{source.module} {source.version} has sum {told['Sum']}, not {source.sum}")
    return Path(told["Dir"])
