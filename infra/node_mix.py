"""How worker nodes divide into an on-demand base and Spot."""

from __future__ import annotations

SPREAD_LABEL = "capacity-spread"
# Pods spread evenly over four virtual domains, one of which is on demand: about 25 % of them have a floor
# that Spot cannot take (karpenter.sh/docs/concepts/scheduling, on-demand/spot ratio split).
DOMAINS = {"on-demand": ["1"], "spot": ["2", "3", "4"]}
SPOT_SHARE = len(DOMAINS["spot"]) / sum(len(domains) for domains in DOMAINS.values())


def node_limits(most: int) -> dict[str, int]:
    """The share of each pool in a total number of nodes, by its domains; each pool may have one."""
    base = max(1, round(most / 4))
    return {"on-demand": base, "spot": max(1, most - base)}
