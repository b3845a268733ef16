"""The load balancer: encryption, logs, protection."""

from __future__ import annotations

from policies.check import Subject, check
from policies.links import linking

BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"


@check(
    "load-balancer-tls",
    "A listener takes TLS 1.2 or newer, or sends to one that does",
    severity="high",
    types=(LISTENER,),
    remedy="Redirect HTTP to HTTPS, and choose an sslPolicy whose name has TLS13.",
    controls={"AWS FSBP": ("ELB.1",), "CIS EKS": ("5.4.5",), "SOC 2": ("CC6.7",)},
    references=("CKV_AWS_2", "CKV_AWS_103"),
)
def tls(listener: Subject) -> str | None:
    """Tokens and conversations in clear are readable on every network between."""
    if listener.properties.text("protocol") == "HTTPS":
        policy = listener.properties.text("sslPolicy") or ""
        # elasticloadbalancing/latest/application/describe-ssl-policies.html: TLS13-1-2 and TLS13-1-3 take no 1.0, 1.1.
        good = "TLS13-1-2" in policy or "TLS13-1-3" in policy
        return None if good else f"sslPolicy is {policy or 'not set'}"
    for action in listener.properties.parts("defaultActions"):
        if action.text("type") == "redirect" and action.text("redirect.protocol") == "HTTPS":
            return None
    return "it takes HTTP and does not redirect"


@check(
    "load-balancer-drops-bad-headers",
    "Malformed headers are dropped",
    severity="low",
    types=(BALANCER,),
    remedy="Set dropInvalidHeaderFields.",
    controls={"AWS FSBP": ("ELB.4",), "SOC 2": ("CC6.6",)},
    references=("CKV_AWS_131",),
)
def drops_bad_headers(balancer: Subject) -> str | None:
    """A header that two servers read differently is how one user's request becomes part of another's."""
    return None if balancer.properties.flag("dropInvalidHeaderFields") else "dropInvalidHeaderFields is not true"


@check(
    "load-balancer-access-logs",
    "Requests are logged where the service cannot lose them",
    severity="medium",
    types=(BALANCER,),
    remedy="Set accessLogs with enabled and a bucket.",
    controls={"AWS FSBP": ("ELB.5",), "SOC 2": ("CC7.2", "PI1.2")},
    references=("CKV_AWS_91",),
)
def access_logs(balancer: Subject) -> str | None:
    """What was refused before it reached a pod is in no other log."""
    return None if balancer.properties.flag("accessLogs.enabled") else "accessLogs.enabled is not true"


@check(
    "load-balancer-deletion-protection",
    "The load balancer cannot be deleted by one call",
    severity="medium",
    types=(BALANCER,),
    remedy="Set enableDeletionProtection; `teardown` opens it.",
    controls={"AWS FSBP": ("ELB.6",), "SOC 2": ("A1.2",)},
    references=("CKV_AWS_150",),
)
def deletion_protection(balancer: Subject) -> str | None:
    """Its name in DNS is the service's address."""
    return None if balancer.properties.flag("enableDeletionProtection") else "enableDeletionProtection is not true"


@check(
    "load-balancer-firewall",
    "A load balancer on the internet has a web application firewall",
    severity="medium",
    types=(BALANCER,),
    scope="stack",
    remedy="Associate a WebAcl, or set internal.",
    controls={"SOC 2": ("CC6.6",)},
    references=("CKV2_AWS_28",),
)
def firewall(balancer: Subject) -> str | None:
    """Rate limits and known attacks cost a rule here, and a pod each behind it."""
    if balancer.properties.flag("internal"):
        return None
    acls = linking(balancer.graph, balancer.resource, "aws:wafv2/webAclAssociation:WebAclAssociation", "resourceArn")
    return None if any(acls) else "no WebAcl is associated"
