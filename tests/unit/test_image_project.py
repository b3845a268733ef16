"""What of somebody's langgraph.json an image can honour, what it refuses, and what never gets into it."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph_cli.schemas import Config

from app.failures import Exit, Refused
from app.image.dependencies import read_dependencies
from app.image.langgraph_keys import HONOURED, IGNORED, REFUSED
from app.image.project import main
from app.runtime.graph_config import load_graphs

GRAPH = "from langgraph.graph import StateGraph\ngraph = StateGraph(dict)\n"
PLAIN = {"dependencies": ["."], "graphs": {"shout": "./shout.py:graph"}}
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "shout.py").write_text(GRAPH)
    return folder


def install(project: Path, keys: Mapping[str, object], config: str = "langgraph.json") -> int:
    (project / config).write_text(json.dumps({**PLAIN, **keys}))
    return main([str(project), config, str(project.parent / "image"), str(project.parent / "packages")])


def test_every_key_that_langgraphs_own_tool_knows_is_honoured_refused_or_known_to_change_nothing() -> None:
    assert set(Config.__annotations__) <= HONOURED | REFUSED.keys() | IGNORED


@pytest.mark.parametrize("key", REFUSED)
def test_a_key_that_would_be_served_otherwise_is_refused_with_file_key_and_reason(
    key: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(project, {key: {"path": "./own.py:thing"}}) == Exit.BAD_INPUT
    reason, remedy = REFUSED[key]
    assert capsys.readouterr().err == f"refused: langgraph.json: {key}: {reason}. {remedy}.\n"
    assert not (project.parent / "image").exists()


@pytest.mark.parametrize("empty", [None, {}, [], "", False])
def test_a_key_without_content_is_no_reason_to_refuse(empty: object, project: Path) -> None:
    assert install(project, {"auth": empty, "dockerfile_lines": empty, "keep_pkg_tools": empty}) == Exit.OK


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"python_version": "3.99"}, ["python_version='3.99'", f"runs Python {RUNNING}", "BASE=python:3.99-slim"]),
        ({"image_distro": "wolfi"}, ["image_distro='wolfi'", "--build-arg BASE"]),
        ({"pip_installer": "uv"}, ["pip_installer='uv'", "Set pip"]),
        ({"pip_config_file": "pip.conf"}, ["pip_config_file='pip.conf'", "no such file"]),
        ({"dependencies": "."}, ["dependencies='.'", "has to be a list"]),
        ({"dependencies": ["../shared"]}, ["'../shared'", "CONFIG=path/to/langgraph.json"]),
        ({"dependencies": ["./shout.py"]}, ["'./shout.py'", "not a directory"]),
        ({"dependencies": ["--index-url=https://example.com"]}, ["neither a folder nor a package"]),
        ({"env": {"OPENAI_API_KEY": "sk-123"}}, ["env.OPENAI_API_KEY", "by its name a secret"]),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_copied(
    keys: dict[str, object], said: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(project, keys) == Exit.BAD_INPUT
    message = capsys.readouterr().err
    assert message.startswith("refused: langgraph.json: ")
    assert [part for part in said if part not in message] == []
    assert "sk-123" not in message
    assert not (project.parent / "image").exists()


@pytest.mark.parametrize("text", ["{", "[]", "\x00"])
def test_a_file_that_is_no_json_object_is_refused_by_its_name(
    text: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "langgraph.json").write_text(text)
    assert (
        main([str(project), "langgraph.json", str(project.parent / "image"), str(project.parent / "packages")])
        == Exit.BAD_INPUT
    )
    assert "refused: langgraph.json: " in capsys.readouterr().err


def test_a_misspelt_key_is_named_with_its_neighbour(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(project, {"python_versoin": "3.11", "api_version": "0.8"}) == Exit.OK
    said = capsys.readouterr().err
    assert "python_versoin is not a key of langgraph.json; did you mean python_version?" in said
    assert "api_version chooses LangGraph's own server" in said


def test_what_is_private_or_not_source_stays_behind_and_the_rest_can_be_read_and_served(project: Path) -> None:
    litter = [".env", ".env.production", "deploy/keys.env", "pip.conf", ".git/config", "a/node_modules/x.js"]
    for name in (*litter, "prompts/system.txt"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("planted")
        (project / name).chmod(0o600)
    keys = {"env": "deploy/keys.env", "pip_config_file": "pip.conf", "python_version": RUNNING}
    assert install(project, keys) == Exit.OK
    image = project.parent / "image"
    assert [name for name in litter if (image / name).exists()] == []
    assert stat.S_IMODE((image / "prompts" / "system.txt").stat().st_mode) & 0o444 == 0o444
    assert list((image / "__pycache__").glob("shout.*.pyc"))
    # The service would refuse a configuration whose env file is not there.
    assert list(load_graphs(image / "langgraph.json")) == ["shout"]


def test_a_project_below_another_folder_may_use_its_neighbours(project: Path) -> None:
    (project / "agents").mkdir()
    (project / "shared").mkdir()
    (project / "agents" / "shout.py").write_text(GRAPH)
    assert install(project, {"dependencies": [".", "../shared"]}, "agents/langgraph.json") == Exit.OK
    assert list(load_graphs(project.parent / "image" / "agents" / "langgraph.json")) == ["shout"]


word = st.text("abcXYZ019-_%", min_size=5, max_size=20)


@given(user=word, password=word, scheme=st.sampled_from(["https", "http", "git+https"]))
def test_an_address_with_credentials_is_refused_and_not_repeated(user: str, password: str, scheme: str) -> None:
    address = f"{scheme}://{user}:{password}@example.com/owner/project.git"
    for dependency in (address, f"project @ {address}"):
        with pytest.raises(Refused, match="holds credentials") as refusal:
            read_dependencies(Path(), "langgraph.json", [dependency])
        assert password not in str(refusal.value).replace("langgraph.json", "")


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml", "setup.py", "setup.cfg"])
def test_credentials_in_a_projects_own_files_are_refused_with_the_file(
    name: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / name).write_text("--extra-index-url https://robot:hunter22@packages.example.com/simple\n")
    assert install(project, {}) == Exit.BAD_INPUT
    message = capsys.readouterr().err
    assert f"{name} holds credentials" in message
    assert "hunter22" not in message
