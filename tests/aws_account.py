"""An AWS account in this process (moto), with the few things that moto lacks and the bootstrap needs."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from unittest import mock

import boto3
import botocore.session
from botocore.loaders import Loader
from moto import mock_aws
from moto.ce.responses import CostExplorerResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.iam import models as iam
from moto.iam.responses import IamResponse

ACCOUNT = "123456789012"  # moto's, and that of the shipped Pulumi.*.yaml
OTHER_ACCOUNT = "210987654321"
_NO_CREDENTIALS = "/dev/null"


@contextmanager
def aws_account(account: str = ACCOUNT) -> Generator[boto3.Session]:
    """An empty account. Added to moto: anomaly monitors and their subscriptions, audiences of an identity provider,
    the name of Spot's role."""
    monitors: list[dict[str, Any]] = []
    subscriptions: list[dict[str, Any]] = []

    def get_anomaly_monitors(_: CostExplorerResponse) -> str:
        return json.dumps({"AnomalyMonitors": monitors})

    def create_anomaly_monitor(response: CostExplorerResponse) -> str:
        arn = f"arn:aws:ce::{account}:anomalymonitor/{len(monitors)}"
        monitors.append({"MonitorArn": arn, **json.loads(response.body)["AnomalyMonitor"]})
        return json.dumps({"MonitorArn": arn})

    def get_anomaly_subscriptions(response: CostExplorerResponse) -> str:
        asked = json.loads(response.body).get("MonitorArn")
        found = [row for row in subscriptions if asked in (None, *row["MonitorArnList"])]
        return json.dumps({"AnomalySubscriptions": found})

    def create_anomaly_subscription(response: CostExplorerResponse) -> str:
        arn = f"arn:aws:ce::{account}:anomalysubscription/{len(subscriptions)}"
        subscriptions.append({"SubscriptionArn": arn, **json.loads(response.body)["AnomalySubscription"]})
        return json.dumps({"SubscriptionArn": arn})

    def update_anomaly_subscription(response: CostExplorerResponse) -> str:
        changed = json.loads(response.body)
        row = next(row for row in subscriptions if row["SubscriptionArn"] == changed["SubscriptionArn"])
        row.update(changed)
        return json.dumps({"SubscriptionArn": row["SubscriptionArn"]})

    def add_client_id(response: IamResponse) -> ActionResult:
        sent = response.querystring
        provider = response.backend.get_open_id_connect_provider(sent["OpenIDConnectProviderArn"][0])
        provider.client_id_list.append(sent["ClientID"][0])
        return EmptyResult()

    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_SHARED_CREDENTIALS_FILE": _NO_CREDENTIALS,
        "AWS_CONFIG_FILE": _NO_CREDENTIALS,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_ACCOUNT_ID": account,
    }
    with (
        mock.patch.dict("os.environ", environment, clear=True),
        mock.patch.dict(iam.SERVICE_NAME_CONVERSION, {"spot": "EC2Spot"}),
        mock.patch.multiple(
            CostExplorerResponse,
            create=True,
            get_anomaly_monitors=get_anomaly_monitors,
            create_anomaly_monitor=create_anomaly_monitor,
            get_anomaly_subscriptions=get_anomaly_subscriptions,
            create_anomaly_subscription=create_anomaly_subscription,
            update_anomaly_subscription=update_anomaly_subscription,
        ),
        mock.patch.object(IamResponse, "add_client_id_to_open_id_connect_provider", add_client_id, create=True),
        mock_aws(),
    ):
        yield new_session()


def new_session(region: str = "us-east-1") -> boto3.Session:
    """A session with events of its own; the API models are read once for all of them, which takes 0.2 s."""
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    return boto3.Session(botocore_session=session, region_name=region)


@lru_cache(maxsize=1)
def _loader() -> Loader:
    return botocore.session.Session().get_component("data_loader")
