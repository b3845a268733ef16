"""What all our pods have in common: Pod Security's restricted level, secrets as files, an even spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs

from app import contract
from infra.aws import database
from infra.aws.add_ons import SYSTEM_TAINT
from infra.node_mix import SPREAD_LABEL

ON_SYSTEM_NODES = core.TolerationArgs(key=SYSTEM_TAINT, operator="Exists")


@dataclass(frozen=True)
class Volume:
    """What a pod finds at a path, to read only."""

    path: str
    source: Mapping[str, Any]


def container(
    name: str, image: str, env: Mapping[str, pulumi.Input[str]], volumes: Mapping[str, Volume], **more: Any
) -> core.ContainerArgs:
    """A container that writes nowhere but to /tmp."""
    return core.ContainerArgs(
        name=name,
        image=image,
        env=[core.EnvVarArgs(name=key, value=value) for key, value in sorted(env.items())],
        security_context=core.SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            run_as_non_root=True,
            capabilities=core.CapabilitiesArgs(drop=["ALL"]),
        ),
        volume_mounts=[
            core.VolumeMountArgs(name="tmp", mount_path="/tmp"),  # noqa: S108 - the pod's own emptyDir
            *(core.VolumeMountArgs(name=key, mount_path=row.path, read_only=True) for key, row in volumes.items()),
        ],
        **more,
    )


def pod(
    service_account: str, containers: list[core.ContainerArgs], volumes: Mapping[str, Volume], **more: Any
) -> core.PodSpecArgs:
    """A pod without a token for the Kubernetes API, run as the image's user. ``volumes`` come beside /tmp."""
    return core.PodSpecArgs(
        service_account_name=service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=core.PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=contract.USER_ID,
            run_as_group=contract.USER_ID,
            fs_group=contract.USER_ID,
            seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        containers=containers,
        volumes=[
            core.VolumeArgs(name="tmp", empty_dir=core.EmptyDirVolumeSourceArgs()),
            *(core.VolumeArgs(name=key, **row.source) for key, row in volumes.items()),
        ],
        **more,
    )


def secrets_of(secrets_class: pulumi.Input[str]) -> dict[str, Any]:
    """A volume of the files that a SecretProviderClass lists."""
    source = core.CSIVolumeSourceArgs(
        driver="secrets-store.csi.k8s.io",
        read_only=True,
        volume_attributes={"secretProviderClass": secrets_class},
    )
    return {"csi": source}


def spread(
    labels: Mapping[str, str],
    template_hash: str = "pod-template-hash",
    within: str = SPREAD_LABEL,
) -> list[core.TopologySpreadConstraintArgs]:
    """Over zones and over the on-demand and Spot domains (or what ``within`` names), each version for itself.

    ScheduleAnyway: when Spot is dry a skewed pod is better than a pending one.
    """
    return [
        core.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=key,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=LabelSelectorArgs(match_labels=labels),
            match_label_keys=[template_hash],
        )
        for key in ("topology.kubernetes.io/zone", within)
    ]


def probe(path: str, port: str, period: int, failures: int) -> core.ProbeArgs:
    """An HTTP probe that waits two seconds for its answer."""
    return core.ProbeArgs(
        http_get=core.HTTPGetActionArgs(path=path, port=port),
        period_seconds=period,
        timeout_seconds=2,
        failure_threshold=failures,
    )


def database_url(user: str | None, address: pulumi.Input[str]) -> pulumi.Output[str]:
    """Straight to RDS, without a password: that is a mounted file, read for each new connection."""
    whose = f"{user}@" if user else ""
    return pulumi.Output.concat(
        f"postgresql://{whose}", address, f":{database.PORT}/{database.NAME}?sslmode=verify-full"
    )
