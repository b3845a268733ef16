"""Secrets as files: from Secrets Manager by the secrets-store CSI add-on, never through etcd or our state."""

from __future__ import annotations

import json

import pulumi
import pulumi_kubernetes as kubernetes

from infra.component import Component


class MountedSecrets(Component):
    """The files that a workload finds where it mounts its class.

    Produces: SecretProviderClass.
    """

    class_name: str

    def __init__(
        self,
        name: str,
        namespace: pulumi.Input[str],
        files: dict[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """``files`` maps a file name to the ARN of the secret that fills it."""
        super().__init__(name, opts)
        objects = pulumi.Output.all(**files).apply(
            lambda arns: json.dumps(
                [
                    {"objectName": arn, "objectType": "secretsmanager", "objectAlias": file}
                    for file, arn in sorted(arns.items())
                ]
            )
        )
        kubernetes.apiextensions.CustomResource(
            name,
            api_version="secrets-store.csi.x-k8s.io/v1",
            kind="SecretProviderClass",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=name, namespace=namespace),
            spec={"provider": "aws", "parameters": {"usePodIdentity": "true", "objects": objects}},
            opts=self.child(),
        )
        self.class_name = name
        self.register_outputs({})
