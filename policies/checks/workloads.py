"""Pods: what they may do to the node and to each other, and whether Kubernetes can place and watch them."""

from __future__ import annotations

from policies.check import Subject, check
from policies.properties import Properties
from policies.workload_parts import (
    SERVING,
    WORKLOADS,
    containers,
    main_containers,
    namespace_of,
    pods,
)

NAMESPACE = "kubernetes:core/v1:Namespace"
LEVELS = ("restricted", "baseline")


@check(
    "pods-namespace-guarded",
    "A namespace enforces a Pod Security level",
    severity="high",
    types=(NAMESPACE,),
    remedy="Set the label pod-security.kubernetes.io/enforce to restricted; name exceptions in `privileged`.",
    # Under either level the API server itself refuses what breaks baseline; these no check here reads in a pod.
    controls={
        "Pod Security": (
            "baseline: HostProcess",
            "baseline: Capabilities",
            "baseline: Host Probes / Lifecycle Hooks",
            "baseline: AppArmor",
            "baseline: SELinux",
            "baseline: /proc Mount Type",
            "baseline: Seccomp",
            "baseline: Sysctls",
        ),
        "SOC 2": ("CC6.8",),
    },
    parameters={"privileged": list[str]()},
)
def namespace_guarded(namespace: Subject) -> str | None:
    """What the API server refuses needs no review and no scanner."""
    if namespace.properties.text("metadata.name") in namespace.parameters["privileged"]:
        return None
    level = namespace.properties.items("metadata.labels").get("pod-security.kubernetes.io/enforce")
    return None if level in LEVELS else f"pod-security.kubernetes.io/enforce is {level or 'not set'}"


@check(
    "pods-no-host-access",
    "Pods do not share the node's network, processes or files",
    severity="critical",
    types=WORKLOADS,
    subjects=pods,
    remedy="Remove hostNetwork, hostPID, hostIPC and hostPath volumes.",
    controls={
        "CIS EKS": ("4.2.2", "4.2.3", "4.2.4"),
        "Pod Security": ("baseline: Host Namespaces", "baseline: HostPath Volumes"),
        "NSA/CISA": ("C-0038", "C-0041"),
        "SOC 2": ("CC6.8",),
    },
    references=("CKV_K8S_17", "CKV_K8S_18", "CKV_K8S_19"),
)
def no_host_access(pod: Subject) -> str | None:
    """With the node's files or processes a pod is the node, and every pod on it."""
    shared = [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.properties.flag(name)]
    paths = [volume.place for volume in pod.properties.parts("volumes") if volume.has("hostPath")]
    found = shared + paths
    return f"{', '.join(found)} is set" if found else None


@check(
    "pods-not-privileged",
    "No container is privileged or takes a port of the node",
    severity="critical",
    types=WORKLOADS,
    subjects=containers,
    remedy="Remove securityContext.privileged and hostPort.",
    controls={
        "CIS EKS": ("4.2.1",),
        "Pod Security": ("baseline: Privileged Containers", "baseline: Host Ports"),
        "NSA/CISA": ("C-0057", "C-0044"),
        "SOC 2": ("CC6.8",),
    },
    references=("CKV_K8S_16", "CKV_K8S_26"),
)
def not_privileged(container: Subject) -> str | None:
    """A privileged container is root on the node."""
    if container.properties.flag("securityContext.privileged"):
        return "securityContext.privileged is true"
    for port in container.properties.parts("ports"):
        if port.number("hostPort"):
            return f"{port.place}.hostPort is set"
    return None


@check(
    "pods-no-escalation",
    "A process cannot gain rights that its parent lacks",
    severity="high",
    types=WORKLOADS,
    subjects=containers,
    remedy="Set securityContext.allowPrivilegeEscalation to false.",
    controls={
        "CIS EKS": ("4.2.5",),
        "Pod Security": ("restricted: Privilege Escalation",),
        "NSA/CISA": ("C-0016",),
        "SOC 2": ("CC6.8",),
    },
    references=("CKV_K8S_20",),
)
def no_escalation(container: Subject) -> str | None:
    """The default allows it: one setuid binary in an image is enough."""
    given = container.properties.flag("securityContext.allowPrivilegeEscalation")
    return None if given is False else "securityContext.allowPrivilegeEscalation is not false"


@check(
    "pods-not-root",
    "Containers run as a user other than root",
    severity="high",
    types=WORKLOADS,
    subjects=pods,
    remedy="Set securityContext.runAsNonRoot on the pod or on each container.",
    controls={
        "Pod Security": (
            "restricted: Running as Non-root",
            "restricted: Running as Non-root user",
        ),
        "NSA/CISA": ("C-0013",),
        "SOC 2": ("CC6.8",),
    },
    references=("CKV_K8S_23", "CKV_K8S_40"),
)
def not_root(pod: Subject) -> str | None:
    """Root in a container is root on the node, one kernel bug away."""
    if pod.properties.number("securityContext.runAsUser") == 0:
        return "securityContext.runAsUser is 0"
    usual = pod.properties.flag("securityContext.runAsNonRoot")
    for kind in ("initContainers", "containers"):
        for container in pod.properties.parts(kind):
            own = container.flag("securityContext.runAsNonRoot")
            if container.number("securityContext.runAsUser") == 0 or not (usual if own is None else own):
                return f"{container.place} may run as root"
    return None


@check(
    "pods-no-capabilities",
    "Containers drop all of Linux's capabilities, and take back none but the low ports'",
    severity="medium",
    types=WORKLOADS,
    subjects=containers,
    remedy="Set securityContext.capabilities.drop to [ALL]; of add, Pod Security allows NET_BIND_SERVICE alone.",
    controls={"Pod Security": ("restricted: Capabilities",), "NSA/CISA": ("C-0046",), "SOC 2": ("CC6.8",)},
    references=("CKV_K8S_37",),
)
def no_capabilities(container: Subject) -> str | None:
    """The default set has NET_RAW, with which a pod answers for its neighbours."""
    if "ALL" not in container.properties.texts("securityContext.capabilities.drop"):
        return "securityContext.capabilities.drop lacks ALL"
    added = set(container.properties.texts("securityContext.capabilities.add")) - {"NET_BIND_SERVICE"}
    return f"securityContext.capabilities.add has {', '.join(sorted(added))}" if added else None


@check(
    "pods-seccomp",
    "System calls are filtered",
    severity="medium",
    types=WORKLOADS,
    subjects=pods,
    remedy="Set securityContext.seccompProfile.type to RuntimeDefault.",
    controls={"Pod Security": ("restricted: Seccomp",), "NSA/CISA": ("C-0055",), "SOC 2": ("CC6.8",)},
    references=("CKV_K8S_31",),
)
def seccomp(pod: Subject) -> str | None:
    """Most kernel holes are in calls that no service needs."""
    usual = pod.properties.text("securityContext.seccompProfile.type")
    for container in pod.properties.parts("containers"):
        given = container.text("securityContext.seccompProfile.type") or usual
        if given not in ("RuntimeDefault", "Localhost"):
            return f"{container.place} has seccompProfile {given or 'not set'}"
    return None


@check(
    "pods-read-only-files",
    "A container cannot change its image's files",
    severity="medium",
    types=WORKLOADS,
    subjects=containers,
    remedy="Set securityContext.readOnlyRootFilesystem; give it an emptyDir where it writes.",
    controls={"NSA/CISA": ("C-0017",), "SOC 2": ("CC6.8",)},
    references=("CKV_K8S_22",),
)
def read_only_files(container: Subject) -> str | None:
    """What cannot be written cannot be replaced by an intruder, nor fill the node's disk."""
    given = container.properties.flag("securityContext.readOnlyRootFilesystem")
    return None if given else "securityContext.readOnlyRootFilesystem is not true"


@check(
    "pods-resources",
    "Containers ask for CPU and memory, and have a bound of memory",
    severity="high",
    types=WORKLOADS,
    subjects=containers,
    remedy="Set resources.requests.cpu, requests.memory and limits.memory.",
    controls={"NSA/CISA": ("C-0271",), "SOC 2": ("A1.2",)},
    references=("CKV_K8S_10", "CKV_K8S_11", "CKV_K8S_12", "CKV_K8S_13"),
)
def resources(container: Subject) -> str | None:
    """Without requests the scheduler fills a node until it kills; without a bound one leak kills its neighbours."""
    paths = ("resources.requests.cpu", "resources.requests.memory", "resources.limits.memory")
    missing = [path for path in paths if not container.properties.has(path)]
    return f"not set: {', '.join(missing)}" if missing else None


@check(
    "pods-probes",
    "Serving containers say whether they are alive and ready",
    severity="medium",
    types=SERVING,
    subjects=main_containers,
    remedy="Set livenessProbe and readinessProbe to ports that the container has.",
    controls={"SOC 2": ("A1.2",)},
    references=("CKV_K8S_8", "CKV_K8S_9", "KL liveness-port"),
)
def probes(container: Subject) -> str | None:
    """A pod without a readiness probe gets requests before it can answer, and after it cannot any more."""
    missing = [name for name in ("livenessProbe", "readinessProbe") if not container.properties.has(name)]
    if missing:
        return f"not set: {', '.join(missing)}"
    ports = list(container.properties.parts("ports"))
    known = {port.text("name") for port in ports} | {str(int(port.number("containerPort") or 0)) for port in ports}
    for name in ("livenessProbe", "readinessProbe"):
        asked = container.properties.part(name).part("httpGet").content.get("port")
        if isinstance(asked, (str, int)) and str(asked) not in known:
            return f"{name}.httpGet.port={asked} is no port of the container"
    return None


@check(
    "pods-image-pinned",
    "Images are named by digest, from an allowed registry",
    severity="high",
    types=WORKLOADS,
    subjects=containers,
    remedy="Name repository@sha256:…, from a registry in `registries`.",
    controls={"CIS EKS": ("5.1.4",), "SOC 2": ("CC6.8", "CC8.1")},
    references=("CKV_K8S_14", "CKV_K8S_43"),
    parameters={"registries": [".amazonaws.com/"]},
)
def image_pinned(container: Subject) -> str | None:
    """A tag is what its last pusher says it is, on each node at another time."""
    image = container.properties.text("image") or ""
    if "@sha256:" not in image:
        return f"image={image or 'not set'} has no digest"
    registries = container.parameters["registries"]
    return None if any(registry in image for registry in registries) else f"image={image} is of no allowed registry"


@check(
    "pods-own-account",
    "Pods have a service account of their own, without a token they do not use",
    severity="medium",
    types=WORKLOADS,
    subjects=pods,
    remedy="Set serviceAccountName, and automountServiceAccountToken to false; name what needs a token in `callers`.",
    controls={"CIS EKS": ("4.1.5", "4.1.6"), "NSA/CISA": ("C-0034",), "SOC 2": ("CC6.3",)},
    references=("CKV_K8S_38", "CKV_K8S_41", "CKV_K8S_42"),
    parameters={"callers": list[str]()},
)
def own_account(pod: Subject) -> str | None:
    """A mounted token is what an intruder looks for first."""
    name = pod.properties.text("serviceAccountName")
    if name in (None, "", "default"):
        return "serviceAccountName is default"
    if name in pod.parameters["callers"] or pod.properties.flag("automountServiceAccountToken") is False:
        return None
    for account in pod.graph.of_type("kubernetes:core/v1:ServiceAccount"):
        given = Properties(account.inputs)
        if given.text("metadata.name") == name and given.flag("automountServiceAccountToken") is False:
            return None
    return "automountServiceAccountToken is not false"


@check(
    "pods-not-in-default",
    "Nothing runs in the default namespace",
    severity="low",
    types=WORKLOADS,
    remedy="Set metadata.namespace.",
    controls={"CIS EKS": ("4.5.2",), "SOC 2": ("CC6.3",)},
    references=("CKV_K8S_21",),
)
def not_in_default(workload: Subject) -> str | None:
    """It has no policies, no quota and no owner."""
    namespace = namespace_of(workload.resource)
    return "metadata.namespace is default" if namespace in (None, "", "default") else None


@check(
    "pods-priority",
    "Serving pods have a priority",
    severity="low",
    types=SERVING,
    subjects=pods,
    remedy="Set priorityClassName.",
    controls={"SOC 2": ("A1.2",)},
    references=("Pol priorityClassNotSet",),
)
def priority(pod: Subject) -> str | None:
    """When nodes are short, pods of equal priority wait for each other in no order."""
    return None if pod.properties.text("priorityClassName") else "priorityClassName is not set"


@check(
    "namespace-bounded",
    "The service's namespace has a quota and defaults",
    severity="medium",
    types=(NAMESPACE,),
    scope="stack",
    remedy="Add a ResourceQuota and a LimitRange.",
    controls={"SOC 2": ("A1.2",)},
    parameters={"except": list[str]()},
)
def bounded(namespace: Subject) -> str | None:
    """One wrong number in one Deployment should not take the nodes of everything else."""
    name = namespace.properties.text("metadata.name")
    if name in namespace.parameters["except"]:
        return None
    kinds = ("ResourceQuota", "LimitRange")
    there = {
        r.kind
        for kind in kinds
        for r in namespace.graph.of_type(f"kubernetes:core/v1:{kind}")
        if namespace_of(r) == name
    }
    missing = [kind for kind in kinds if kind not in there]
    return f"it has no {' and no '.join(missing)}" if missing else None
