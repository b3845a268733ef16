"""Shapes are derived from names; an independent catalogue must agree."""

from __future__ import annotations

import gzip
import json
from importlib.resources import files
from typing import Any

import pytest

from infra.instances import allocatable, max_connections, shape
from tests.environments import settings_of


def catalogue() -> dict[str, dict[str, Any]]:
    """EC2's own answer to DescribeInstanceTypes, as moto ships it."""
    return json.loads(gzip.decompress(files("moto.ec2").joinpath("resources/instance_types.json.gz").read_bytes()))


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_shape_of_every_type_we_use_agrees_with_ec2s_catalogue(stack: str) -> None:
    nodes, known = settings_of(stack).nodes, catalogue()
    compared = 0
    for name in {*nodes.system.instance_types, *nodes.workers.instance_types} & set(known):
        ours, theirs = shape(name), known[name]
        assert ours is not None
        assert ours.vcpu == theirs["VCpuInfo"]["DefaultVCpus"], name
        assert ours.memory_gib * 1024 == theirs["MemoryInfo"]["SizeInMiB"], name
        assert (ours.architecture == "arm64") == ("arm64" in theirs["ProcessorInfo"]["SupportedArchitectures"]), name
        compared += 1
    assert compared >= 15


def test_graviton_is_told_from_intel_and_amd_by_its_letter() -> None:
    names = ("m7g.large", "m7i.large", "m7a.large", "t4g.medium", "r8gd.xlarge")
    kinds = [kind for kind in map(shape, names) if kind is not None]
    assert [kind.architecture for kind in kinds] == ["arm64", "amd64", "amd64", "arm64", "arm64"]


@pytest.mark.parametrize("name", ["", "m7i", "m7i.nano", "g5.xlarge", "m7i.0x", "large.m7i"])
def test_a_name_outside_our_families_has_no_shape(name: str) -> None:
    assert shape(name) is None


def test_a_node_keeps_for_itself_what_the_eks_image_reserves() -> None:
    kind = shape("m7i.2xlarge")
    assert kind is not None
    room = allocatable(kind, max_pods=110)
    # 60 + 10 + 2 × 5 + 4 × 2.5 millicores; 255 + 11 × 110 + 100 MiB
    assert round(room.cpu * 1000) == 8000 - 90
    assert room.memory_mib == 32 * 1024 - 255 - 1210 - 100


def test_connections_are_planned_below_the_formula_and_never_above_five_thousand() -> None:
    assert max_connections("db.r7g.xlarge") == 3244
    assert max_connections("db.r7g.4xlarge") == 4500
    assert max_connections("db.unknown.large") is None
