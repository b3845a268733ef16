"""Where alerts go: pages and tickets to the topic that people read, the watchdog to the one that is missed."""

from __future__ import annotations

from typing import Any

import pulumi

from infra.kubernetes.alerts import WATCHDOG

SERVICE_ACCOUNT = "alertmanager"
# Grouped by what is wrong, not by pod: one message for a hundred of them.
GROUP_BY = ["alertname", "slo", "priority", "horizontalpodautoscaler"]
# Alertmanager's own template language; the subject of an SNS message ends at 100 characters.
SUBJECT = "{{ .Status | toUpper }} {{ .CommonLabels.severity }}: {{ .GroupLabels.alertname }} (%s)"
MESSAGE = """{{ range .Alerts }}{{ .Status }} {{ .StartsAt.Format "2006-01-02 15:04 MST" }}: {{ .Annotations.summary }}
{{ .Annotations.runbook }}
{{ end }}"""


def configuration(
    environment: str, region: str, alerts: pulumi.Input[str], heartbeat: pulumi.Input[str]
) -> dict[str, Any]:
    """Alertmanager's configuration file; the topics are reached by the pod's own role."""
    return {
        "route": {
            "receiver": "people",
            "group_by": GROUP_BY,
            "group_wait": "5m",
            "group_interval": "15m",
            "repeat_interval": "24h",
            "routes": [
                # Every five minutes: the alarm on its silence looks back fifteen.
                {
                    "matchers": [f'alertname="{WATCHDOG}"'],
                    "receiver": "heartbeat",
                    "group_wait": "0s",
                    "group_interval": "1m",
                    "repeat_interval": "5m",
                },
                {
                    "matchers": ['severity="page"'],
                    "receiver": "people",
                    "group_wait": "30s",
                    "group_interval": "5m",
                    "repeat_interval": "1h",
                },
            ],
        },
        "inhibit_rules": [
            # A budget that burns fast also burns slowly.
            {
                "source_matchers": ['severity="page"', 'slo!=""'],
                "target_matchers": ['severity="ticket"', 'slo!=""'],
                "equal": ["slo"],
            },
            # Without the service's metrics the HPA has none either.
            {
                "source_matchers": ['alertname="AgentMetricsAbsent"'],
                "target_matchers": ['alertname=~"HpaNotActing|TargetDown"'],
            },
        ],
        "receivers": [
            {"name": "people", "sns_configs": [_topic(alerts, region, SUBJECT % environment, resolved=True)]},
            {"name": "heartbeat", "sns_configs": [_topic(heartbeat, region, WATCHDOG, resolved=False)]},
        ],
    }


def _topic(arn: pulumi.Input[str], region: str, subject: str, *, resolved: bool) -> dict[str, Any]:
    return {
        "topic_arn": arn,
        "sigv4": {"region": region},
        "subject": subject,
        "message": MESSAGE,
        "send_resolved": resolved,
        # By it a subscription can take pages alone (SNS subscription filter policies).
        "attributes": {"severity": '{{ or .CommonLabels.severity "mixed" }}'},
    }
