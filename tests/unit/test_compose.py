"""compose.yaml agrees with the service's contract, holds no secret, and gives no container more than it needs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from app import contract
from app.settings import Settings, load_settings
from tools.compose.__main__ import FOLDER, files

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose.yaml"
FILE = cast("dict[str, Any]", yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text())))
SERVICES = cast("dict[str, dict[str, Any]]", FILE["services"])
OURS = ("migrate", "service")  # built from app/Dockerfile


@pytest.mark.parametrize("name", OURS)
def test_the_service_takes_the_settings_it_is_given(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = dict(re.findall(r"(AGENT_\w+)=(\S+)", (ROOT / "app" / "Dockerfile").read_text()))
    given = cast("dict[str, str]", SERVICES[name]["environment"])
    assert set(given) <= {value for key, value in vars(contract).items() if key.startswith("ENV_")}
    for key, value in (image | given).items():
        monkeypatch.setenv(key, value.replace("/run/secrets", str(tmp_path)))
    for secret in SERVICES[name]["secrets"]:
        (tmp_path / secret).write_text("a password")
    settings = load_settings()
    assert settings.signs_in
    assert settings.valkey is not None
    front = cast("str", FILE["networks"]["front"]["ipam"]["config"][0]["subnet"])
    assert [str(network) for network in settings.trusted_proxies] == [front]


def test_the_file_holds_no_secret_and_git_ignores_the_folder_that_does() -> None:
    names = {str(secret["file"]) for secret in FILE["secrets"].values()} | {
        str(extra["path"]) for service in SERVICES.values() for extra in service.get("env_file", [])
    }
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert set(ignored.stdout.split()) == names
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            assert "PASSWORD" not in key or value.startswith("/run/secrets/")
            assert not re.search(r"://[^/@]*:[^/@]*@", value)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_a_limit_a_read_only_root_and_an_image_that_cannot_change(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"])
    assert name in OURS or re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", service["image"])


def test_what_is_waited_for_can_tell_when_it_is_ready() -> None:
    waits = [(other, how["condition"]) for row in SERVICES.values() for other, how in row.get("depends_on", {}).items()]
    healthy = {other for other, condition in waits if condition == "service_healthy"}
    assert {"database", "valkey", "service", "prometheus"} == healthy
    assert set(SERVICES) - {"migrate"} == {name for name, row in SERVICES.items() if "healthcheck" in row}
    assert ("migrate", "service_completed_successfully") in waits


def test_only_tls_listens_beyond_this_machine_and_nothing_reaches_the_data_from_outside() -> None:
    ports = {name: row["ports"] for name, row in SERVICES.items() if "ports" in row}
    assert ports == {"nginx": ["127.0.0.1:8443:8443"], "grafana": ["127.0.0.1:3000:3000"]}
    assert COMPOSE.read_text().count("${LISTEN:-") == 1
    assert FILE["networks"]["back"]["internal"]
    assert all(SERVICES[name]["networks"] == ["back"] for name in ("database", "valkey", "prometheus"))


def test_ports_sizes_and_times_are_those_of_the_service() -> None:
    nginx = (ROOT / "tools" / "compose" / "nginx.conf").read_text()
    assert f"service:{contract.PORT};" in nginx
    assert Settings.model_fields["max_body_bytes"].default == 1024**2
    assert "client_max_body_size 1m;" in nginx
    assert f"service:{contract.METRICS_PORT}" in (ROOT / "tools" / "compose" / "prometheus.yaml").read_text()
    grace = int(SERVICES["service"]["stop_grace_period"].removesuffix("s"))
    assert grace > contract.DRAIN_SECONDS + contract.AFTER_DRAIN_SECONDS


def test_rules_and_dashboards_are_those_of_the_platform_that_apply_here() -> None:
    written = {str(file.relative_to(FOLDER)): file.read_text() for file in FOLDER.rglob("*") if file.is_file()}
    assert written == files(), "run: python -m tools.compose"
    assert contract.METRIC_QUEUE_OLDEST in written["rules.yaml"]
    assert "kube_" not in "".join(written.values())
