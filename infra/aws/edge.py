"""The public name: its certificate, and the web application firewall for the load balancer behind it."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.keys import Keys
from infra.aws.logs import log_group
from infra.component import Component
from infra.settings import Settings

# AWS managed rule groups (docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html).
MANAGED_RULES = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
)
# A prompt is longer than the 8 KB that this rule of the common set allows a body: counted, not blocked.
COUNTED = {"AWSManagedRulesCommonRuleSet": ("SizeRestrictions_BODY",)}
REQUESTS_PER_ADDRESS = 2000  # in five minutes; the service's own limits are per user


class Edge(Component):
    """What stands before the service on the internet.

    Produces: Certificate, its validation Record and CertificateValidation, WebAcl, its LogGroup and
    WebAclLoggingConfiguration. The host's alias record is made with the load balancer it leads to.
    """

    host: str
    zone_id: str
    certificate_arn: pulumi.Output[str]
    web_acl_arn: pulumi.Output[str]

    def __init__(
        self, name: str, settings: Settings, host: str, zone_id: str, keys: Keys, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, opts)
        self.host, self.zone_id = host, zone_id
        certificate = aws.acm.Certificate(name, domain_name=host, validation_method="DNS", opts=self.child())
        proof = certificate.domain_validation_options.apply(lambda options: options[0])
        record = aws.route53.Record(
            f"{name}-validation",
            zone_id=zone_id,
            name=proof.apply(lambda option: option.resource_record_name or ""),
            type=proof.apply(lambda option: option.resource_record_type or ""),
            records=[proof.apply(lambda option: option.resource_record_value or "")],
            ttl=300,
            opts=self.child(),
        )
        validated = aws.acm.CertificateValidation(
            name, certificate_arn=certificate.arn, validation_record_fqdns=[record.fqdn], opts=self.child()
        )
        self.certificate_arn = validated.certificate_arn
        firewall = aws.wafv2.WebAcl(
            name,
            scope="REGIONAL",
            description=f"Before {host}",
            default_action=aws.wafv2.WebAclDefaultActionArgs(allow=aws.wafv2.WebAclDefaultActionAllowArgs()),
            visibility_config=_visible(settings.name),
            rules=[_rate_limit(len(MANAGED_RULES)), *(_managed(*row) for row in enumerate(MANAGED_RULES))],
            opts=self.child(),
        )
        self.web_acl_arn = firewall.arn
        group = log_group(
            f"{name}-firewall",
            f"aws-waf-logs-{settings.name}",  # WAF writes only to groups whose name begins so
            settings,
            keys.logs,
            settings.cluster.log_retention_days,
            self.child(),
        )
        aws.wafv2.WebAclLoggingConfiguration(
            name,
            resource_arn=firewall.arn,
            log_destination_configs=[group.arn],
            redacted_fields=[
                aws.wafv2.WebAclLoggingConfigurationRedactedFieldArgs(
                    single_header=aws.wafv2.WebAclLoggingConfigurationRedactedFieldSingleHeaderArgs(name=header)
                )
                for header in ("authorization", "x-api-key", "cookie")
            ],
            opts=self.child(),
        )
        self.register_outputs({})


def _visible(metric: str) -> aws.wafv2.WebAclVisibilityConfigArgs:
    return aws.wafv2.WebAclVisibilityConfigArgs(
        cloudwatch_metrics_enabled=True,
        metric_name=metric,
        sampled_requests_enabled=False,  # samples would hold users' text
    )


def _rule_visible(metric: str) -> aws.wafv2.WebAclRuleVisibilityConfigArgs:
    return aws.wafv2.WebAclRuleVisibilityConfigArgs(
        cloudwatch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=False
    )


def _rate_limit(priority: int) -> aws.wafv2.WebAclRuleArgs:
    return aws.wafv2.WebAclRuleArgs(
        name="rate-limit",
        priority=priority,
        action=aws.wafv2.WebAclRuleActionArgs(block=aws.wafv2.WebAclRuleActionBlockArgs()),
        statement=aws.wafv2.WebAclRuleStatementArgs(
            rate_based_statement=aws.wafv2.WebAclRuleStatementRateBasedStatementArgs(
                limit=REQUESTS_PER_ADDRESS, aggregate_key_type="IP"
            )
        ),
        visibility_config=_rule_visible("rate-limit"),
    )


def _managed(priority: int, group: str) -> aws.wafv2.WebAclRuleArgs:
    return aws.wafv2.WebAclRuleArgs(
        name=group,
        priority=priority,
        override_action=aws.wafv2.WebAclRuleOverrideActionArgs(none=aws.wafv2.WebAclRuleOverrideActionNoneArgs()),
        statement=aws.wafv2.WebAclRuleStatementArgs(
            managed_rule_group_statement=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
                vendor_name="AWS",
                name=group,
                rule_action_overrides=[
                    aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideArgs(
                        name=rule,
                        action_to_use=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseArgs(
                            count=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseCountArgs()
                        ),
                    )
                    for rule in COUNTED.get(group, ())
                ],
            )
        ),
        visibility_config=_rule_visible(group),
    )
