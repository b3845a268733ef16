"""Cost Explorer's anomaly monitor over all services: AWS admits one of its kind in an account."""

from __future__ import annotations

from stacks.bootstrap.step import Finding, Step, Target, create, exists


def _look(target: Target) -> Finding:
    token: dict[str, str] = {}
    while True:
        page = target.ce.get_anomaly_monitors(**token)  # pyright: ignore[reportArgumentType] - only a page token
        for monitor in page["AnomalyMonitors"]:
            if monitor["MonitorType"] == "DIMENSIONAL" and monitor.get("MonitorDimension") == "SERVICE":
                return exists(f"{monitor['MonitorName']} watches each service's cost")
        if "NextPageToken" not in page:
            return create("watches each service's cost for what is out of the ordinary")
        token = {"NextPageToken": page["NextPageToken"]}


def _make(target: Target) -> None:
    target.ce.create_anomaly_monitor(
        AnomalyMonitor={
            "MonitorName": "langgraph-eks-services",
            "MonitorType": "DIMENSIONAL",
            "MonitorDimension": "SERVICE",
        }
    )


STEPS = (Step("cost anomaly monitor", _look, _make),)
