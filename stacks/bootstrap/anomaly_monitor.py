"""Cost Explorer's anomaly monitor over all services, of which AWS admits one in an account, and who hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks.bootstrap.step import Finding, Step, Target, change, create, exists

if TYPE_CHECKING:
    from mypy_boto3_ce.type_defs import (
        AnomalyMonitorPaginatorTypeDef,
        AnomalySubscriptionPaginatorTypeDef,
        ExpressionTypeDef,
    )

SUBSCRIPTION = "langgraph-eks-anomalies"
# What AWS chooses for the subscription that it makes by itself (Cost Management guide, getting started with anomaly
# detection): a cheap service that doubled, or one per cent more of a dear one, wakes nobody.
_THRESHOLD: ExpressionTypeDef = {
    "And": [
        {"Dimensions": {"Key": key, "MatchOptions": ["GREATER_THAN_OR_EQUAL"], "Values": [value]}}
        for key, value in (("ANOMALY_TOTAL_IMPACT_ABSOLUTE", "100"), ("ANOMALY_TOTAL_IMPACT_PERCENTAGE", "40"))
    ]
}


def _monitor(target: Target) -> AnomalyMonitorPaginatorTypeDef | None:
    for page in target.ce.get_paginator("get_anomaly_monitors").paginate():
        for monitor in page["AnomalyMonitors"]:
            if monitor["MonitorType"] == "DIMENSIONAL" and monitor.get("MonitorDimension") == "SERVICE":
                return monitor
    return None


def _look(target: Target) -> Finding:
    monitor = _monitor(target)
    if monitor is None:
        return create("watches each service's cost for what is out of the ordinary")
    return exists(f"{monitor['MonitorName']} watches each service's cost")


def _make(target: Target) -> None:
    target.ce.create_anomaly_monitor(
        AnomalyMonitor={
            "MonitorName": "langgraph-eks-services",
            "MonitorType": "DIMENSIONAL",
            "MonitorDimension": "SERVICE",
        }
    )


def _subscription(target: Target) -> AnomalySubscriptionPaginatorTypeDef | None:
    monitor = _monitor(target)
    if monitor is None:
        return None
    pages = target.ce.get_paginator("get_anomaly_subscriptions").paginate(MonitorArn=monitor.get("MonitorArn", ""))
    every = (subscription for page in pages for subscription in page["AnomalySubscriptions"])
    return next((row for row in every if row["SubscriptionName"] == SUBSCRIPTION), None)


def _told(subscription: AnomalySubscriptionPaginatorTypeDef | None) -> set[str]:
    return {row.get("Address", "") for row in subscription["Subscribers"]} if subscription else set()


def _look_subscription(target: Target) -> Finding:
    if not target.alert_emails:
        return exists("nobody is told: alerts.emails is empty, and no --alert-email was given")
    subscription = _subscription(target)
    missing = ", ".join(sorted(set(target.alert_emails) - _told(subscription)))
    if not missing:
        return exists(f"tells {', '.join(target.alert_emails)} once a day")
    return change(f"does not tell {missing} yet") if subscription else create(f"tells {missing} once a day")


def _make_subscription(target: Target) -> None:
    subscription = _subscription(target)
    addresses = sorted(_told(subscription) | set(target.alert_emails))
    # By e-mail AWS tells once a day or a week, at once only by SNS (Cost Explorer API, AnomalySubscription).
    if subscription:
        target.ce.update_anomaly_subscription(
            SubscriptionArn=subscription.get("SubscriptionArn", ""),
            Subscribers=[{"Address": address, "Type": "EMAIL"} for address in addresses],
        )
        return
    monitor = _monitor(target)
    if monitor is None:
        raise RuntimeError("the monitor is made before who hears of it")
    target.ce.create_anomaly_subscription(
        AnomalySubscription={
            "SubscriptionName": SUBSCRIPTION,
            "MonitorArnList": [monitor.get("MonitorArn", "")],
            "Subscribers": [{"Address": address, "Type": "EMAIL"} for address in addresses],
            "Frequency": "DAILY",
            "ThresholdExpression": _THRESHOLD,
        }
    )


STEPS = (
    Step("cost anomaly monitor", _look, _make),
    Step("cost anomaly monitor: subscription", _look_subscription, _make_subscription),
)
