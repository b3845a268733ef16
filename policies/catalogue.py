"""Every check, in the order of the domains."""

from __future__ import annotations

from policies.check import Check
from policies.checks import (
    access,
    cost,
    eks,
    elasticache,
    identity,
    keys,
    load_balancer,
    logs,
    network,
    network_policies,
    nodes,
    rds,
    registry,
    reliability,
    storage,
    workloads,
)

DOMAINS = {
    "eks": eks,
    "nodes": nodes,
    "network": network,
    "load balancer": load_balancer,
    "rds": rds,
    "elasticache": elasticache,
    "s3": storage,
    "kms and secrets": keys,
    "ecr": registry,
    "logs": logs,
    "iam": identity,
    "workloads": workloads,
    "rbac": access,
    "network policy": network_policies,
    "autoscaling, reliability": reliability,
    "cost, tags, residency": cost,
}


def all_checks() -> list[Check]:
    """By domain, then as its module has them."""
    return [item for module in DOMAINS.values() for item in vars(module).values() if isinstance(item, Check)]


def domain_of(check: Check) -> str:
    """The domain whose module has it."""
    return next(name for name, module in DOMAINS.items() if check in vars(module).values())
