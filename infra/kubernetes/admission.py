"""What the API server refuses by itself, without another controller: ValidatingAdmissionPolicies and their bindings.

They look at a workload's template as well as at its pods, so that a refusal reaches whoever applies it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.admissionregistration import v1 as admission
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, LabelSelectorRequirementArgs, ObjectMetaArgs

from infra.component import Component
from infra.kubernetes.labels import COMPONENT, NAME
from infra.settings import Settings


@dataclass(frozen=True)
class Matched:
    """Resources of one API group, and the operations on them that are looked at."""

    group: str
    resources: tuple[str, ...]
    operations: tuple[str, ...] = ("CREATE", "UPDATE")


# A pod that runs already is not looked at again, nor is a ReplicaSet: a rule that became stricter would otherwise stop
# controllers from finishing or scaling down what was admitted before.
PODS = (Matched("", ("pods",), ("CREATE",)), Matched("", ("pods/ephemeralcontainers",), ("UPDATE",)))
WORKLOADS = (
    *PODS,
    Matched("apps", ("daemonsets", "deployments", "statefulsets")),
    Matched("argoproj.io", ("rollouts",)),
    Matched("batch", ("cronjobs", "jobs")),
)
# Where each of them has its pod.
_PLACES = "object.kind == 'Pod' ? object{0} : object.kind == 'CronJob' ? object.spec.jobTemplate.spec.template{0} : object.spec.template{0}"
_POD = _PLACES.format(".spec")
_LABELS = f"({_PLACES.format('')}).?metadata.?labels.orValue({{}})"
_CONTAINERS = (
    "variables.pod.containers + variables.pod.?initContainers.orValue([]) "
    "+ variables.pod.?ephemeralContainers.orValue([])"
)


@dataclass(frozen=True)
class Rule:
    """One thing that must hold: a CEL expression and what is said when it does not."""

    expression: str
    message: str


@dataclass(frozen=True)
class Policy:
    """Rules over some resources of some namespaces. Variables are given to the rules by name."""

    name: str
    matched: tuple[Matched, ...]
    namespaces: tuple[LabelSelectorRequirementArgs, ...]
    rules: tuple[Rule, ...]
    variables: Mapping[str, str]


def policies(settings: Settings) -> tuple[Policy, ...]:
    """The policies of an environment."""
    ours = (_namespaces("In", settings.service.namespace),)
    # kube-system holds EKS's own agents; a namespace that Pod Security calls privileged says so for all to see.
    unprivileged = (
        _namespaces("NotIn", "kube-system"),
        LabelSelectorRequirementArgs(key="pod-security.kubernetes.io/enforce", operator="NotIn", values=["privileged"]),
    )
    inside = {"pod": _POD, "containers": _CONTAINERS, "labels": _LABELS}
    return (
        Policy("agents-images", WORKLOADS, ours, _images(settings), inside),
        Policy("agents-pods", WORKLOADS, ours, (_labels(), _TOKEN), inside),
        Policy("agents-unprivileged", PODS, unprivileged, (_UNPRIVILEGED,), inside),
        Policy("agents-services", (Matched("", ("services",)),), (), _SERVICES, {}),
    )


def _images(settings: Settings) -> tuple[Rule, ...]:
    registry = f"{settings.account.id}.dkr.ecr.{settings.region}.amazonaws.com/"
    pooler = settings.database.pooler
    named = [settings.service.image, *([pooler.image, pooler.exporter_image] if pooler else [])]
    ours = [registry, *(image.partition("@")[0] + "@" for image in named if image)]
    return (
        Rule(
            f"variables.containers.all(c, {_cel(ours)}.exists(r, c.image.startsWith(r)))",
            f"images come from {' or '.join(ours)}: push it there, or use the pull-through cache",
        ),
        Rule(
            "variables.containers.all(c, c.image.matches('@sha256:[0-9a-f]{64}$'))",
            "images are named by digest (repository@sha256:…): a tag may mean another image tomorrow",
        ),
    )


def _labels() -> Rule:
    wanted = [NAME, COMPONENT]
    return Rule(
        f"{_cel(wanted)}.all(l, l in variables.labels)",
        f"pods carry the labels {' and '.join(wanted)}: network policies select by them",
    )


_TOKEN = Rule(
    "!variables.pod.?automountServiceAccountToken.orValue(true)",
    "pods set automountServiceAccountToken: false: nothing here calls the Kubernetes API",
)
_UNPRIVILEGED = Rule(
    "!variables.pod.?hostNetwork.orValue(false) && !variables.pod.?hostPID.orValue(false) "
    "&& !variables.pod.?hostIPC.orValue(false) "
    "&& variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))",
    "no privileged container and no host namespace outside kube-system and namespaces labelled privileged",
)
_SERVICES = (
    Rule(
        "object.spec.?type.orValue('ClusterIP') != 'LoadBalancer'",
        "no Service of type LoadBalancer: the load balancer belongs to the Pulumi program (infra/aws/load_balancer.py)",
    ),
    Rule(
        "object.spec.?externalIPs.orValue([]).size() == 0",
        "no externalIPs: they take over other people's traffic (CVE-2020-8554)",
    ),
)


def _namespaces(operator: str, name: str) -> LabelSelectorRequirementArgs:
    return LabelSelectorRequirementArgs(key="kubernetes.io/metadata.name", operator=operator, values=[name])


def _cel(values: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


class AdmissionPolicies(Component):
    """The policies, each with the binding that makes it refuse. A rule that cannot be evaluated refuses too.

    Produces: ValidatingAdmissionPolicy and ValidatingAdmissionPolicyBinding for each of ``policies``.
    """

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        for policy in policies(settings):
            made = admission.ValidatingAdmissionPolicy(
                policy.name,
                metadata=ObjectMetaArgs(name=policy.name),
                spec=_spec(policy),
                opts=self.child(),
            )
            selector = LabelSelectorArgs(match_expressions=list(policy.namespaces))
            admission.ValidatingAdmissionPolicyBinding(
                policy.name,
                metadata=ObjectMetaArgs(name=policy.name),
                spec=admission.ValidatingAdmissionPolicyBindingSpecArgs(
                    policy_name=policy.name,
                    validation_actions=["Deny"],
                    match_resources=admission.MatchResourcesArgs(namespace_selector=selector)
                    if policy.namespaces
                    else None,
                ),
                opts=self.child(depends_on=[made]),
            )
        self.register_outputs({})


def _spec(policy: Policy) -> admission.ValidatingAdmissionPolicySpecArgs:
    return admission.ValidatingAdmissionPolicySpecArgs(
        failure_policy="Fail",
        match_constraints=admission.MatchResourcesArgs(
            resource_rules=[
                admission.NamedRuleWithOperationsArgs(
                    api_groups=[row.group],
                    api_versions=["v1alpha1"] if row.group == "argoproj.io" else ["v1"],
                    operations=list(row.operations),
                    resources=list(row.resources),
                )
                for row in policy.matched
            ]
        ),
        variables=[
            admission.VariableArgs(name=name, expression=expression) for name, expression in policy.variables.items()
        ],
        validations=[
            admission.ValidationArgs(expression=rule.expression, message=rule.message, reason="Invalid")
            for rule in policy.rules
        ],
    )
