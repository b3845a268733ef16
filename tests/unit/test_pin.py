"""Pins move to what is offered, by exact replacement, and whatever could not be asked stays as it was."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections.abc import Generator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.versions import ADD_ONS, KUBERNETES, Pin, unverified
from stacks import pin
from stacks.account import Account
from stacks.configuration import ROOT
from stacks.image_digest import digest_of, parse
from stacks.pin import Move, base_images, defaults, with_add_ons, with_bases
from stacks.terminal import Exit, Refused, run_command
from tests.aws_account import ACCOUNT, new_session

DIGEST = "sha256:" + "ab" * 32
SOURCE = (ROOT / "infra" / "versions.py").read_text()


class Registry(BaseHTTPRequestHandler):
    """A registry that wants a token for everything, hands it to anybody, and has one image."""

    def do_HEAD(self) -> None:
        if self.headers.get("Authorization") != "Bearer for-anybody":
            host = f"http://{self.headers['Host']}"
            self.send_response(401)
            challenge = f'Bearer realm="{host}/token",service="here",scope="repository:library/python:pull"'
            self.send_header("WWW-Authenticate", challenge)
        elif self.path == "/v2/library/python/manifests/3.11-slim" and "image.index" in self.headers["Accept"]:
            self.send_response(200)
            self.send_header("Docker-Content-Digest", DIGEST)
        elif self.path.endswith("/manifests/silent"):
            self.send_response(200)
        else:
            self.send_response(404)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        assert self.path == "/token?service=here&scope=repository%3Alibrary%2Fpython%3Apull"
        self.wfile.write(json.dumps({"token": "for-anybody"}).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture(scope="module")
def registry() -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("python:3.11-slim", ("https://registry-1.docker.io", "library/python", "3.11-slim")),
        ("grafana/grafana", ("https://registry-1.docker.io", "grafana/grafana", "latest")),
        ("public.ecr.aws/docker/library/python:3", ("https://public.ecr.aws", "docker/library/python", "3")),
        ("localhost:5000/a:b", ("http://localhost:5000", "a", "b")),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(image: str, parts: tuple[str, str, str]) -> None:
    assert parse(image) == parts


def test_the_digest_behind_a_tag_is_asked_with_the_token_that_anybody_gets(registry: str) -> None:
    assert digest_of(f"{registry}/library/python:3.11-slim") == DIGEST


@pytest.mark.parametrize(
    ("name", "reason"), [("library/python:9", "HTTP Error 404"), ("library/python:silent", "named no digest")]
)
def test_an_image_that_the_registry_does_not_have_is_refused_by_name(registry: str, name: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refused:
        digest_of(f"{registry}/{name}")
    assert name in str(refused.value)


def test_a_registry_that_cannot_be_reached_is_refused_with_the_remedy() -> None:
    with pytest.raises(Refused, match="cannot be reached") as refused:
        digest_of("127.0.0.1:1/a:b")
    assert "Check the name and the network" in str(refused.value)


def test_a_base_image_gets_the_digest_of_its_tag_and_loses_an_older_one(registry: str) -> None:
    image = f"{registry}/library/python:3.11-slim"
    for now in (image, f"{image}@sha256:{'0' * 64}"):
        text = f"# a comment\nARG BASE={now}\nFROM ${{BASE}} AS build\n"
        moves = base_images(text)
        assert moves == [Move("base image", now, f"{image}@{DIGEST}")]
        assert with_bases(text, moves) == f"# a comment\nARG BASE={image}@{DIGEST}\nFROM ${{BASE}} AS build\n"


def test_the_dockerfile_of_the_service_has_one_base_that_can_be_pinned() -> None:
    text = (ROOT / "app" / "Dockerfile").read_text()
    [image] = pin._bases(text)  # pyright: ignore[reportPrivateUsage] - without asking a registry
    assert with_bases(text, [Move("base image", image, "other:1")]).count("ARG BASE=other:1\n") == 1


def answer(*versions: tuple[str, dict[str, bool]]) -> dict[str, Any]:
    """What EKS answers: versions, each with the Kubernetes minors it goes with and whether it is their default."""
    rows = [
        {
            "addonVersion": version,
            "compatibilities": [{"clusterVersion": minor, "defaultVersion": flag} for minor, flag in minors.items()],
        }
        for version, minors in versions
    ]
    return {"addons": [{"addonName": "vpc-cni", "addonVersions": rows}]}


def asked(pins: list[Pin], *answers: dict[str, Any]) -> list[Move]:
    # moto answers no DescribeAddonVersions, so this is botocore's own stub, checked against the API's model.
    client = boto3.client("eks", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        for row, reply in zip(pins, answers, strict=True):
            expected = {"addonName": row.name, "kubernetesVersion": "1.36"}
            stub.add_response("describe_addon_versions", reply, expected)
        return defaults(client, "1.36", pins)


def test_the_default_for_our_kubernetes_is_taken_and_not_the_newest() -> None:
    reply = answer(("v3", {"1.36": False, "1.37": True}), ("v2", {"1.36": True}), ("v1", {"1.36": False}))
    assert asked([ADD_ONS["vpc-cni"]], reply) == [Move("vpc-cni", ADD_ONS["vpc-cni"].version, "v2")]


def test_an_add_on_without_a_default_is_refused_by_name() -> None:
    with pytest.raises(Refused, match=r"versions.ADD_ONS\[vpc-cni\]: EKS names no default for Kubernetes 1.36"):
        asked([ADD_ONS["vpc-cni"]], answer(("v3", {"1.37": True})))


def imported(source: str, folder: Path) -> ModuleType:
    """The rewritten module, run."""
    path = folder / "rewritten_versions.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    del sys.modules[path.stem]
    return module


def test_every_add_on_is_rewritten_on_its_line_and_nothing_else_is(tmp_path: Path) -> None:
    moves = [Move(name, row.version, f"v9.9.{number}-eksbuild.1") for number, (name, row) in enumerate(ADD_ONS.items())]
    written = with_add_ons(SOURCE, moves, KUBERNETES, "2026-11-21")
    before, after = SOURCE.splitlines(), written.splitlines()
    assert sum(one != other for one, other in zip(before, after, strict=True)) == len(moves) + 1
    assert max(len(line) for line in after) <= 120
    module = imported(written, tmp_path)
    assert {name: row.version for name, row in module.ADD_ONS.items()} == {move.name: move.offered for move in moves}
    assert {row.source for row in module.ADD_ONS.values()} == {"EKS DescribeAddonVersions on 2026-11-21"}
    assert not {row.name for row in module.unverified()} & ADD_ONS.keys()
    # Run again, it changes nothing.
    again = [replace(move, now=move.offered) for move in moves]
    assert with_add_ons(written, again, KUBERNETES, "2026-11-21") == written


def test_a_pin_that_does_not_stand_there_as_read_is_refused_and_not_guessed() -> None:
    with pytest.raises(Refused, match=r'has no Pin\("vpc-cni", …\) on one line') as refused:
        with_add_ons(SOURCE, [Move("vpc-cni", "v0.0.0", "v9")], KUBERNETES, "2026-11-21")
    assert refused.value.code is Exit.STATE


def test_apply_writes_both_files_and_without_it_nothing_is_written(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    versions, dockerfile = tmp_path / "versions.py", tmp_path / "Dockerfile"
    versions.write_text(SOURCE)
    dockerfile.write_text(f"ARG BASE={registry}/library/python:3.11-slim\n")
    monkeypatch.setattr(pin, "VERSIONS", versions)
    monkeypatch.setattr(pin, "DOCKERFILE", dockerfile)
    session = new_session()

    class Http:
        status_code = 200

    def offer(**_: object) -> tuple[type, dict[str, Any]]:
        return Http, answer(("v9.9.9-eksbuild.9", {KUBERNETES: True}))

    def opened(*_: object) -> Account:
        return Account(ACCOUNT, "us-east-1", "aws", session)

    session.events.register("before-call.eks.DescribeAddonVersions", offer)  # pyright: ignore[reportArgumentType] - what it returns is the answer
    monkeypatch.setattr(pin, "open_account", opened)
    assert run_command(pin.main, []) == Exit.OK
    assert versions.read_text() == SOURCE
    charts = [row.name for row in unverified() if row.name not in ADD_ONS]  # EKS does not offer them
    assert f"{len(charts) + 1} unverified" in capsys.readouterr().out
    assert run_command(pin.main, ["--apply"]) == Exit.OK
    assert versions.read_text().count("v9.9.9-eksbuild.9") == len(ADD_ONS)
    assert dockerfile.read_text() == f"ARG BASE={registry}/library/python:3.11-slim@{DIGEST}\n"
    assert f"{len(charts)} unverified: " in capsys.readouterr().out


def test_what_one_source_does_not_say_leaves_the_others_answer_and_its_exit_code_tells(
    tmp_path: Path, registry: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"ARG BASE={registry}/library/python:3.11-slim\n")
    monkeypatch.setattr(pin, "DOCKERFILE", dockerfile)
    monkeypatch.setattr(pin, "VERSIONS", tmp_path / "versions.py")
    (tmp_path / "versions.py").write_text(SOURCE)
    assert run_command(pin.main, ["--apply", "--profile", "nobody-has-this"]) == Exit.BAD_INPUT
    assert DIGEST in dockerfile.read_text()
    assert (tmp_path / "versions.py").read_text() == SOURCE
    assert "aws configure list-profiles" in capsys.readouterr().err
