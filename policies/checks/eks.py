"""The EKS cluster: who reaches it, what it records, what it runs."""

from __future__ import annotations

from infra.versions import KUBERNETES_SUPPORT
from policies.check import Subject, check
from policies.links import is_public, linked
from policies.properties import NotEvaluated, Properties

CLUSTER = "aws:eks/cluster:Cluster"
ADD_ON = "aws:eks/addon:Addon"
SUBNET = "aws:ec2/subnet:Subnet"
ACCESS_POLICY = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
POD_IDENTITY = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
WORLD = ("0.0.0.0/0", "::/0")


@check(
    "eks-endpoint-restricted",
    "The cluster's API is not open to the world",
    severity="critical",
    types=(CLUSTER,),
    remedy="List the CIDRs of your runners and offices in cluster.publicAccessCidrs, or turn public access off.",
    controls={"AWS FSBP": ("EKS.1",), "CIS EKS": ("5.4.1", "5.4.2"), "SOC 2": ("CC6.6",)},
    references=("CKV_AWS_38", "CKV_AWS_39", "AWS-0040", "AWS-0041"),
)
def endpoint_restricted(cluster: Subject) -> str | None:
    """Whoever reaches the API needs only a leaked token or the next authentication bug."""
    if cluster.properties.flag("vpcConfig.endpointPublicAccess") is False:
        return None
    ranges = cluster.properties.texts("vpcConfig.publicAccessCidrs") or ["0.0.0.0/0"]  # AWS's default
    open_ranges = [cidr for cidr in ranges if cidr in WORLD]
    return f"vpcConfig.publicAccessCidrs holds {', '.join(open_ranges)}" if open_ranges else None


@check(
    "eks-endpoint-private",
    "Nodes reach the cluster's API inside the VPC",
    severity="medium",
    types=(CLUSTER,),
    remedy="Set vpcConfig.endpointPrivateAccess.",
    controls={"AWS FSBP": ("EKS.1",), "CIS EKS": ("5.4.2",), "SOC 2": ("CC6.6",)},
)
def endpoint_private(cluster: Subject) -> str | None:
    """Without a private endpoint every kubelet goes out through NAT to the public one, which then cannot be closed."""
    return None if cluster.properties.flag("vpcConfig.endpointPrivateAccess") else "endpointPrivateAccess is not true"


@check(
    "eks-version-supported",
    "The Kubernetes version is in standard support",
    severity="high",
    types=(CLUSTER,),
    remedy="Raise cluster.version; docs/operations/upgrades.md says in which order.",
    controls={"AWS FSBP": ("EKS.2",), "SOC 2": ("CC7.1",)},
    references=("CKV_AWS_339",),
)
def version_supported(cluster: Subject) -> str | None:
    """After standard support AWS takes 0.60 in place of 0.10 dollars an hour, or upgrades the cluster by itself."""
    version = cluster.properties.text("version")
    if version is None:
        return "version is not set: the cluster takes the newest at its creation"
    ends = {row.version: row.standard_until for row in KUBERNETES_SUPPORT}
    if version not in ends:
        return f"version={version} is none whose support is recorded in infra/versions.py"
    until = ends[version]
    return f"version={version} left standard support on {until}" if until and until < cluster.today else None


@check(
    "eks-support-type",
    "The cluster never slips into extended support",
    severity="medium",
    types=(CLUSTER,),
    remedy="Set upgradePolicy.supportType to STANDARD.",
    controls={"SOC 2": ("CC7.1",)},
)
def support_type(cluster: Subject) -> str | None:
    """EXTENDED is AWS's default: the day standard support ends, the control plane costs six times as much, silently."""
    chosen = cluster.properties.text("upgradePolicy.supportType")
    return None if chosen == "STANDARD" else f"upgradePolicy.supportType is {chosen or 'not set'}"


@check(
    "eks-secrets-encrypted",
    "Kubernetes secrets are encrypted with a key of ours",
    severity="high",
    types=(CLUSTER,),
    remedy="Set encryptionConfig with resources [secrets] and the key's ARN.",
    controls={"AWS FSBP": ("EKS.3",), "CIS EKS": ("5.3.1",), "NSA/CISA": ("C-0066",), "SOC 2": ("CC6.1",)},
    references=("CKV_AWS_58", "AWS-0039"),
)
def secrets_encrypted(cluster: Subject) -> str | None:
    """Whoever reads an etcd backup reads every secret, unless a key that can be withdrawn stands between."""
    if "secrets" not in cluster.properties.texts("encryptionConfig.resources"):
        return "encryptionConfig.resources does not hold secrets"
    return None if cluster.properties.has("encryptionConfig.provider.keyArn") else "encryptionConfig names no key"


@check(
    "eks-control-plane-logs",
    "All five control plane logs are kept",
    severity="high",
    types=(CLUSTER,),
    remedy="List api, audit, authenticator, controllerManager and scheduler in enabledClusterLogTypes.",
    controls={"AWS FSBP": ("EKS.8",), "CIS EKS": ("2.1.1", "2.1.2"), "NSA/CISA": ("C-0067",), "SOC 2": ("CC7.2",)},
    references=("CKV_AWS_37", "AWS-0038"),
)
def control_plane_logs(cluster: Subject) -> str | None:
    """Without the audit log nobody can say who read a secret last month."""
    given = cluster.properties.texts("enabledClusterLogTypes")
    missing = [log for log in LOGS if log not in given]
    return f"enabledClusterLogTypes lacks {', '.join(missing)}" if missing else None


@check(
    "eks-access-entries",
    "Access is granted by access entries, none of them to the creator by accident",
    severity="high",
    types=(CLUSTER,),
    remedy="Set accessConfig.authenticationMode to API and bootstrapClusterCreatorAdminPermissions to false.",
    controls={"CIS EKS": ("4.1.7", "5.5.1"), "SOC 2": ("CC6.1", "CC6.3")},
)
def access_entries(cluster: Subject) -> str | None:
    """The aws-auth map is edited in the cluster where no reviewer sees it; a creator's rights are listed nowhere."""
    mode = cluster.properties.text("accessConfig.authenticationMode")
    if mode != "API":
        return f"accessConfig.authenticationMode is {mode or 'not set'}"
    # AWS's default is true.
    if cluster.properties.flag("accessConfig.bootstrapClusterCreatorAdminPermissions") is not False:
        return "bootstrapClusterCreatorAdminPermissions is not false"
    return None


@check(
    "eks-deletion-protection",
    "The cluster cannot be deleted by one call",
    severity="medium",
    types=(CLUSTER,),
    remedy="Set deletionProtection; `teardown` in the settings opens it again.",
    controls={"SOC 2": ("A1.2",)},
    references=("PRW eks_cluster_deletion_protection_enabled",),
)
def deletion_protection(cluster: Subject) -> str | None:
    """A deleted cluster takes every pod with it; rebuilding it takes far longer than the recovery objective."""
    return None if cluster.properties.flag("deletionProtection") else "deletionProtection is not true"


@check(
    "eks-private-subnets",
    "The control plane's interfaces are in private subnets of enough zones",
    severity="high",
    types=(CLUSTER,),
    scope="stack",
    remedy="Give vpcConfig.subnetIds the private subnets of at least that many zones.",
    controls={"CIS EKS": ("5.4.3",), "SOC 2": ("CC6.6", "A1.2")},
    parameters={"minZones": 2},
)
def private_subnets(cluster: Subject) -> str | None:
    """A public subnet is one route away from the internet; with one zone the cluster is away when the zone is."""
    subnets = linked(cluster, "vpcConfig", SUBNET)
    if not subnets:
        raise NotEvaluated("vpcConfig.subnetIds", "does not name subnets of this stack")
    public = [subnet.name for subnet in subnets if is_public(cluster.graph, subnet)]
    if public:
        return f"in public subnets: {', '.join(public)}"
    zones = {Properties(subnet.inputs).text("availabilityZone") for subnet in subnets}
    least = cluster.parameters["minZones"]
    return None if len(zones) >= least else f"in {len(zones)} zones, fewer than {least:g}"


@check(
    "eks-add-ons-managed",
    "What a node needs is a managed add-on",
    severity="medium",
    types=(CLUSTER,),
    scope="stack",
    remedy="Add the missing ones as aws.eks.Addon.",
    controls={"SOC 2": ("CC7.1",)},
    parameters={"names": ["vpc-cni", "coredns", "kube-proxy", "aws-ebs-csi-driver", "eks-pod-identity-agent"]},
)
def add_ons_managed(cluster: Subject) -> str | None:
    """An add-on that nobody manages is patched by nobody and breaks at the next minor version."""
    present = {Properties(add_on.inputs).text("addonName") for add_on in cluster.graph.of_type(ADD_ON)}
    missing = [name for name in cluster.parameters["names"] if name not in present]
    return f"not there: {', '.join(missing)}" if missing else None


@check(
    "eks-add-on-pinned",
    "An add-on's version is pinned",
    severity="medium",
    types=(ADD_ON,),
    remedy="Set addonVersion; `make pin` knows AWS's default.",
    controls={"SOC 2": ("CC8.1",)},
)
def add_on_pinned(add_on: Subject) -> str | None:
    """Without a version dev and prod get what is the default on the day they are made."""
    return None if add_on.properties.text("addonVersion") else "addonVersion is not set"


@check(
    "eks-network-policy-engine",
    "Network policies are enforced",
    severity="high",
    types=(ADD_ON,),
    remedy='Give the vpc-cni add-on configurationValues with "enableNetworkPolicy": "true".',
    controls={"CIS EKS": ("4.3.1", "5.4.4"), "SOC 2": ("CC6.6",)},
    subjects=lambda add_on: [Properties(add_on.inputs)] if add_on.inputs.get("addonName") == "vpc-cni" else [],
)
def network_policy_engine(add_on: Subject) -> str | None:
    """The API server takes NetworkPolicies whether or not anything enforces them."""
    enabled = add_on.properties.document("configurationValues").flag("enableNetworkPolicy")
    return None if enabled else "enableNetworkPolicy is not true"


@check(
    "eks-pod-identity",
    "Service accounts get AWS rights by Pod Identity",
    severity="medium",
    types=(CLUSTER,),
    scope="stack",
    remedy="Give each workload that calls AWS an aws.eks.PodIdentityAssociation of its own.",
    controls={"CIS EKS": ("5.2.1",), "SOC 2": ("CC6.3",)},
)
def pod_identity(cluster: Subject) -> str | None:
    """Pods without an identity of their own borrow the node's, and so do the pods beside them."""
    found = cluster.graph.of_type(POD_IDENTITY)
    if not found:
        return "there is no Pod Identity association"
    roles: dict[tuple[str, ...], str] = {}
    for association in found:
        role = association.property_dependencies.get("roleArn", ())
        if role and role in roles:
            return f"{association.name} and {roles[role]} share a role"
        roles[role] = association.name
    return None


@check(
    "eks-zonal-shift",
    "AWS may move traffic away from an impaired zone",
    severity="low",
    types=(CLUSTER,),
    remedy="Set zonalShiftConfig.enabled.",
    controls={"SOC 2": ("A1.2",)},
)
def zonal_shift(cluster: Subject) -> str | None:
    """A zone that answers slowly is worse than one that is gone; zonal autoshift takes it out of the endpoints."""
    return None if cluster.properties.flag("zonalShiftConfig.enabled") else "zonalShiftConfig.enabled is not true"


@check(
    "eks-admins-are-roles",
    "Cluster administrators are roles",
    severity="high",
    types=(ACCESS_POLICY,),
    remedy="Give AmazonEKSClusterAdminPolicy to a role that people and pipelines assume.",
    controls={"CIS EKS": ("4.1.1",), "NSA/CISA": ("C-0035",), "SOC 2": ("CC6.3",)},
)
def admins_are_roles(association: Subject) -> str | None:
    """A user's key lives for years, the account's root for ever; a role's session ends the same day."""
    if "ClusterAdmin" not in (association.properties.text("policyArn") or ""):
        return None
    principal = association.properties.text("principalArn") or ""
    return None if ":role/" in principal else f"principalArn={principal} is no role"
