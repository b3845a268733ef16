"""A monthly budget that warns before the money is spent."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.settings import Settings

# Percent of the budget, and whether of what was spent or of what AWS forecasts for the month.
THRESHOLDS = ((80, "ACTUAL"), (100, "ACTUAL"), (100, "FORECASTED"))


class MonthlyBudget(Component):
    """What the environment may cost a month, by its cost-center tag (activate the tag for billing once).

    Produces: Budget with a notification to the alert topic per threshold.
    """

    def __init__(self, name: str, settings: Settings, topic: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        aws.budgets.Budget(
            name,
            name=f"{settings.name}-monthly",
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(settings.budget.monthly_usd),
            limit_unit="USD",
            cost_filters=[
                # The form is user:<key>$<value> (Budgets API reference, CostFilters).
                aws.budgets.BudgetCostFilterArgs(
                    name="TagKeyValue", values=[f"user:cost-center${settings.tags.cost_center}"]
                )
            ],
            notifications=[
                aws.budgets.BudgetNotificationArgs(
                    comparison_operator="GREATER_THAN",
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                    notification_type=kind,
                    subscriber_sns_topic_arns=[topic],
                )
                for percent, kind in THRESHOLDS
            ],
            opts=self.child(),
        )
        self.register_outputs({})
