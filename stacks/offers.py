"""Whether AWS offers this account, in this region, what the settings and the pins name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.settings import Settings
from infra.versions import Pin
from stacks.findings import FAIL, PASS, WARN, Finding

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_eks.client import EKSClient

# Zones, by the id that means the same in every account, in which EKS takes no subnet of a control plane
# (docs.aws.amazon.com/eks/latest/userguide/network-reqs.html, subnet requirements).
NO_CONTROL_PLANE = {"use1-az3", "usw1-az2", "cac1-az3"}


def add_ons(eks: EKSClient, kubernetes: str, pins: tuple[Pin, ...]) -> Iterator[Finding]:
    """Whether EKS offers each pinned add-on version for a Kubernetes version; names the newest that it does offer."""
    for pin in pins:
        answer = eks.describe_addon_versions(addonName=pin.name, kubernetesVersion=kubernetes)
        versions = [
            version.get("addonVersion", "") for row in answer["addons"] for version in row.get("addonVersions", [])
        ]
        if pin.version in versions:
            yield Finding(f"add-on {pin.name}", PASS, pin.version)
        else:
            newest = versions[0] if versions else "none"
            yield Finding(
                f"add-on {pin.name}",
                FAIL,
                f"versions.ADD_ONS[{pin.name}]={pin.version}: EKS does not offer it for {kubernetes}. "
                f"Pin one that it does, the newest being {newest}: make pin.",
            )


def zones(ec2: EC2Client, settings: Settings) -> Iterator[Finding]:
    """Whether the account has each zone, and whether EKS takes a control plane's subnet there.

    Letters are shuffled per account: infra/regions.py knows only which ones a region has.
    """
    answer = ec2.describe_availability_zones(Filters=[{"Name": "state", "Values": ["available"]}])
    ids = {zone.get("ZoneName", ""): zone.get("ZoneId", "") for zone in answer["AvailabilityZones"]}
    fitting = ", ".join(sorted(name for name, zone_id in ids.items() if zone_id not in NO_CONTROL_PLANE))
    for index, zone in enumerate(settings.network.zones):
        field = f"network.zones.{index}.name={zone.name}"
        if zone.name not in ids:
            yield Finding("zone", FAIL, f"{field}: this account has no such zone. Name others of {fitting}.")
        elif ids[zone.name] in NO_CONTROL_PLANE:
            yield Finding(
                "zone",
                FAIL,
                f"{field}: is {ids[zone.name]} in this account, where EKS takes no control plane subnet. "
                f"Name another of {fitting}.",
            )
        else:
            yield Finding("zone", PASS, f"{zone.name} is {ids[zone.name]}")


def instance_types(ec2: EC2Client, settings: Settings) -> Iterator[Finding]:
    """Whether each instance type is offered in our zones: one that is missing narrows the pools without a word."""
    ours = {zone.name for zone in settings.network.zones}
    nodes = settings.nodes
    chosen = {
        "nodes.system.instanceTypes": nodes.system.instance_types,
        "nodes.workers.instanceTypes": nodes.workers.instance_types,
    }
    found: dict[str, set[str]] = {}
    names = sorted({name for types in chosen.values() for name in types})
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": names}, {"Name": "location", "Values": sorted(ours)}],
    )
    for page in pages:
        for row in page["InstanceTypeOfferings"]:
            found.setdefault(row.get("InstanceType", ""), set()).add(row.get("Location", ""))
    for field, types in chosen.items():
        lacking = {name: ours - found.get(name, set()) for name in types}
        for name, missing in lacking.items():
            if missing == ours:
                detail = f"{field}={name}: is offered in none of our zones. Choose another type."
                yield Finding("instance type", FAIL, detail)
            elif missing:
                where = ", ".join(sorted(missing))
                detail = (
                    f"{field}={name}: is not offered in {where}. Other types serve there; choose another or keep it."
                )
                yield Finding("instance type", WARN, detail)
        for zone in sorted(ours):
            if all(zone in missing for missing in lacking.values()):
                detail = f"{field}: none of them is offered in {zone}. Add a type that is, or name another zone."
                yield Finding("instance type", FAIL, detail)
        if not any(lacking.values()):
            yield Finding("instance type", PASS, f"{field}: all {len(types)} are offered in every zone")
