"""CloudWatch log groups, queues and topics."""

from __future__ import annotations

from policies.check import Subject, check

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
QUEUE = "aws:sqs/queue:Queue"
TOPIC = "aws:sns/topic:Topic"


def within_bounds(group: Subject) -> dict[str, float]:
    """The nearest bound."""
    least, most = group.parameters["minDays"], group.parameters["maxDays"]
    return {"retentionInDays": min(max(group.properties.number("retentionInDays") or least, least), most)}


@check(
    "logs-retention",
    "Logs are kept for a stated time",
    severity="medium",
    types=(LOG_GROUP,),
    remedy="Set retentionInDays within the bounds.",
    controls={"SOC 2": ("CC7.2", "CC7.3", "C1.2")},
    references=("CKV_AWS_66", "CKV_AWS_338", "CLDBRN-AWS-COSTGUARDRAILS-1"),
    parameters={"minDays": 30, "maxDays": 400},
    mend=within_bounds,
)
def retention(group: Subject) -> str | None:
    """The default is for ever: a bill that only grows, and personal data past any promise."""
    days = group.properties.number("retentionInDays")
    least, most = group.parameters["minDays"], group.parameters["maxDays"]
    if not days:
        return "retentionInDays is not set: for ever"
    return None if least <= days <= most else f"retentionInDays={days:g} is not within {least:g} and {most:g}"


@check(
    "logs-encrypted",
    "Logs are encrypted with a key of ours",
    severity="medium",
    types=(LOG_GROUP,),
    remedy="Set kmsKeyId.",
    controls={"SOC 2": ("CC6.1", "CC7.3", "PI1.4")},
    references=("CKV_AWS_158", "AWS-0017"),
)
def encrypted(group: Subject) -> str | None:
    """Audit and query logs tell who asked for what."""
    return None if group.properties.has("kmsKeyId") else "kmsKeyId is not set"


@check(
    "messages-encrypted",
    "Queues and topics are encrypted",
    severity="medium",
    types=(QUEUE, TOPIC),
    remedy="Set sqsManagedSseEnabled or a KMS key.",
    controls={"AWS FSBP": ("SQS.1",), "SOC 2": ("CC6.1", "PI1.4")},
)
def messages_encrypted(queue: Subject) -> str | None:
    """Alarms name hosts, accounts and what is wrong with them."""
    given = queue.properties.flag("sqsManagedSseEnabled") or queue.properties.has("kmsMasterKeyId")
    return None if given else "neither sqsManagedSseEnabled nor kmsMasterKeyId is set"
