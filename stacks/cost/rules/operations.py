"""Logs, alarms, firewall and messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from stacks.cost.amounts import exactly
from stacks.cost.facts import Billed
from stacks.cost.prices import Meter
from stacks.cost.rules.use import Context, Rule, Use, prefixed, unknown, used

DAYS = Decimal(365) / 12  # of a month


def log_group(item: Billed, context: Context) -> Iterator[Use]:
    """What it takes in, and what it keeps: the whole of its retention at any time."""
    logs = context.usage.logs
    taken = logs.groups.get(item.name, logs.other_groups_gb)
    yield from used("AmazonCloudWatch", prefixed(item.region, "DataProcessing-Bytes"), "GB", taken, "usage file")
    days = item.facts.get("retentionInDays")
    stored = prefixed(item.region, "TimedStorage-ByteHrs")
    if not days:
        yield unknown("AmazonCloudWatch", stored, "GB-Mo", "kept for ever: it grows every month")
        return
    kept = taken * (Decimal(days) / DAYS) * logs.stored_share
    why = f"{days} days of it, compressed to {logs.stored_share:.0%}"
    yield from used("AmazonCloudWatch", stored, "GB-Mo", kept, why)


def alarm(item: Billed, _: Context) -> Iterator[Use]:
    metrics = int(item.facts.get("metrics") or 1)
    meter = Meter("AmazonCloudWatch", prefixed(item.region, "CW:AlarmMonitorUsage"))
    why = f"{metrics} metrics; the account's free ones are not counted"
    yield Use(meter, "Alarms", exactly(metrics), why, fixed=True)


def firewall(item: Billed, context: Context) -> Iterator[Use]:
    rules = int(item.facts.get("rules") or 0)
    yield Use(Meter("awswaf", prefixed(item.region, "WebACLV2")), "Month", exactly(1), fixed=True)
    yield Use(Meter("awswaf", prefixed(item.region, "RuleV2")), "Month", exactly(rules), f"{rules} rules", fixed=True)
    requests = context.usage.storage.firewall_requests
    yield from used("awswaf", prefixed(item.region, "RequestV2-Tier1"), "Request", requests, "usage file")


def messages(item: Billed, _: Context) -> Iterator[Use]:
    service = "AmazonSNS" if "sns" in item.type else "AWSQueueService"
    yield unknown(service, "Requests", "Requests", "a few a day; no dated price was read")


RULES: Mapping[str, Rule] = {
    "aws:cloudwatch/logGroup:LogGroup": log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": alarm,
    "aws:wafv2/webAcl:WebAcl": firewall,
    "aws:sns/topic:Topic": messages,
    "aws:sqs/queue:Queue": messages,
}
