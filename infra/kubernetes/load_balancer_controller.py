"""The AWS Load Balancer Controller, which only registers pods in the target group: the load balancer itself is ours."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.helm.v3 import Release
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from app.contract import PORT
from infra.component import Component
from infra.kubernetes.charts import release, small
from infra.kubernetes.labels import API_LABELS, SERVICE_NAME
from infra.settings import Settings
from infra.system_pods import system_pod

NAMESPACE = "kube-system"
SERVICE_ACCOUNT = "aws-load-balancer-controller"
CHART = "aws-load-balancer-controller"
# Where Gateway API's CRDs are half there the controller crashes, unless all three are said (its pull request 4721).
GATES = ("ALBGatewayAPI", "NLBGatewayAPI", "GatewayListenerSet", "EnableServiceController")


class LoadBalancerController(Component):
    """The controller from its pinned chart, with everything off that would make load balancers.

    Produces: Release aws-load-balancer-controller, with its CRDs; Helm never upgrades those (docs/operations/upgrades.md).
    """

    release: Release

    def __init__(self, name: str, settings: Settings, vpc_id: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        values = {
            "clusterName": settings.name,
            "region": settings.region,
            "vpcId": vpc_id,  # the node's metadata, where it would look, is a hop too far for a pod
            "serviceAccount": {"name": SERVICE_ACCOUNT},
            "replicaCount": system_pod(settings.environment, "load-balancer-controller").replicas,
            "podDisruptionBudget": {"maxUnavailable": 1},
            **small(settings, "load-balancer-controller"),
            "createIngressClassResource": False,
            "ingressClassParams": {"create": False},
            "enableServiceMutatorWebhook": False,
            "enableBackendSecurityGroup": False,
            "enableShield": False,
            "enableWaf": False,
            "enableWafv2": False,
            "webhookConfig": {"disableIngressValidation": True},
            "controllerConfig": {"featureGates": dict.fromkeys(GATES, False)},
            # Without the gate a rollout could end old pods before the load balancer sends anything to new ones:
            # rather no new pods while the controller is away. Only the API's pods are concerned.
            "podMutatorWebhookConfig": {"failurePolicy": "Fail"},
            "objectSelector": {"matchLabels": API_LABELS},
            "keepTLSSecret": True,  # a new certificate would be refused until the pods have it
        }
        self.release = release(settings, CHART, NAMESPACE, values, self.child())
        self.register_outputs({})


class ServiceTargets(Component):
    """Ties the service's pods to the target group. It must be there before the pods, or they get no readiness gate.

    Produces: TargetGroupBinding. Its finalizer needs the controller to take the targets out.
    """

    def __init__(
        self,
        name: str,
        namespace: pulumi.Input[str],
        target_group_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        kubernetes.apiextensions.CustomResource(
            name,
            api_version="elbv2.k8s.aws/v1beta1",
            kind="TargetGroupBinding",
            metadata=ObjectMetaArgs(name=SERVICE_NAME, namespace=namespace),
            # No "networking": the security groups' rules are ours too.
            spec={
                "serviceRef": {"name": SERVICE_NAME, "port": PORT},
                "targetGroupARN": target_group_arn,
                "targetType": "ip",
            },
            # The controller's webhook refuses another ARN in place.
            opts=self.child(replace_on_changes=["spec.targetGroupARN"], delete_before_replace=True),
        )
        self.register_outputs({})
