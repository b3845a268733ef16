"""How a binary is come by: which way wins, which is refused, and what is said when none is left."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import download as download_module
from tools.catalogue import PULUMI, TOOLS, DebianPackage, GoBuild, Release, Tool, Unavailable
from tools.download import digest_of
from tools.obtain import BY_DEBIAN, BY_DOWNLOAD, BY_GO, IN_PROJECT, ON_PATH, find, obtain_tool

ROOT = Path(__file__).resolve().parents[2]
NAME = "greeter"
VERSION = "1.4.2"


def script(version: str) -> bytes:
    return f"#!/bin/sh\necho greeter v{version}\n".encode()


def put_on_path(folder: Path, version: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_bytes(script(version))
    (folder / NAME).chmod(0o755)


def archive_of(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class Host:
    """A release host on this machine; files are what it serves, asked what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append(self.path)
                content = host.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def release(self, content: bytes, *, listed: bytes | None = None, member: str = f"{NAME}/{NAME}") -> Release:
        """Publish an archive with its checksums; listed is the archive the checksums are of, when another."""
        archive = archive_of(member, content)
        file_name = f"{NAME}-{VERSION}.tar.gz"
        digest = hashlib.sha256(archive if listed is None else listed).hexdigest()
        self.files = {f"/{file_name}": archive, "/sums": f"{digest}  {file_name}\n".encode()}
        return Release(f"{self.address}/{NAME}-{{version}}.tar.gz", f"{self.address}/sums", f"{NAME}/{NAME}")


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    thread = threading.Thread(target=host.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield host
    host.server.shutdown()
    host.server.server_close()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, the test's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def tool(release: Release | None = None, go: GoBuild | None = None) -> Tool:
    return Tool(NAME, VERSION, ("version",), release, go)


@pytest.mark.parametrize("version", [VERSION, "1.4.10", "1.5.0"])
def test_a_good_enough_binary_on_path_is_taken_without_asking_the_network(
    path: Path, host: Host, tmp_path: Path, version: str
) -> None:
    put_on_path(path, version)
    found = obtain_tool(tool(host.release(script(VERSION))), folder=tmp_path / "tools")
    assert (found.origin, found.version, found.path) == (ON_PATH, version, path / NAME)
    assert host.asked == []


def test_a_version_told_on_stderr_is_heard(path: Path, host: Host, tmp_path: Path) -> None:
    put_on_path(path, VERSION)
    (path / NAME).write_text(f"#!/bin/sh\necho {NAME} version: {NAME}/{VERSION} >&2\n")
    assert obtain_tool(tool(host.release(script(VERSION))), folder=tmp_path / "tools").origin == ON_PATH


@pytest.mark.parametrize("version", ["1.4.1", "1.3.9", "0.99.99", "2.0.0"])
def test_an_older_binary_on_path_or_another_major_version_is_passed_over_and_said(
    path: Path, host: Host, tmp_path: Path, version: str
) -> None:
    put_on_path(path, version)
    found = obtain_tool(tool(host.release(script(VERSION))), folder=tmp_path / "tools")
    assert found.origin == BY_DOWNLOAD
    assert found.passed_over == (f"{path / NAME} is version {version}, not {VERSION} or a later 1.x",)


def test_a_download_with_the_right_digest_is_installed_once_and_found_afterwards(
    path: Path, host: Host, tmp_path: Path
) -> None:
    row = tool(host.release(script(VERSION)))
    first = obtain_tool(row, folder=tmp_path / "tools")
    asked = list(host.asked)
    again = obtain_tool(row, folder=tmp_path / "tools")
    assert (first.origin, again.origin, again.path) == (BY_DOWNLOAD, IN_PROJECT, first.path)
    assert host.asked == asked
    assert subprocess.run([first.path], capture_output=True, text=True, check=True).stdout == f"greeter v{VERSION}\n"


@pytest.mark.parametrize(
    ("published", "reason"),
    [
        ({"content": script(VERSION), "listed": b"another archive"}, "has SHA-256"),
        ({"content": script(VERSION), "member": "elsewhere/greeter"}, "the archive has no greeter/greeter"),
        ({"content": script("1.4.1")}, "is version 1.4.1, not 1.4.2"),
        ({"content": b"#!/bin/sh\nexit 1\n"}, "does not tell its version"),
        ({"content": b"#!/bin/sh\necho hello\n"}, "does not tell its version, but 'hello"),
    ],
    ids=["wrong digest", "other content", "older version", "cannot run", "no version"],
)
def test_a_download_that_is_not_what_it_should_be_is_never_installed(
    path: Path, host: Host, tmp_path: Path, published: dict[str, object], reason: str
) -> None:
    release = host.release(**published)  # type: ignore[arg-type]  # the cases above are its keyword arguments
    with pytest.raises(Unavailable, match=re.escape(reason)):
        obtain_tool(tool(release), folder=tmp_path / "tools")
    left = {file.name for file in (tmp_path / "tools").rglob("*") if file.is_file()}
    assert left <= {"lock"}


def test_a_closed_network_and_a_missing_go_give_one_line_with_every_reason(path: Path, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        row = tool(Release(f"{address}/a.tar.gz", f"{address}/sums", "a"), GoBuild(tmp_path, "greeter"))
        with pytest.raises(Unavailable) as refusal:
            obtain_tool(row, folder=tmp_path / "tools")
    text = str(refusal.value)
    assert "\n" not in text
    assert text.startswith(f"{NAME} {VERSION} is not to be had: ")
    for reason in ("there is no greeter on PATH", "download failed", "Go build: there is no go on PATH"):
        assert reason in text


def test_a_host_that_accepts_and_never_answers_does_not_hold_up_the_next_way(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent_host:
        address = f"http://127.0.0.1:{silent_host.getsockname()[1]}"
        with pytest.raises(Unavailable, match="download failed: timed out"):
            obtain_tool(tool(Release(f"{address}/a.tar.gz", f"{address}/sums", "a")), folder=tmp_path / "tools")


def test_a_checksum_list_without_the_archive_is_refused() -> None:
    with pytest.raises(Unavailable, match=r"do not list b\.tar\.gz"):
        digest_of("b.tar.gz", f"{'0' * 64}  a.tar.gz\nnot-a-digest  b.tar.gz\n")


needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="there is no go on PATH")


@pytest.fixture
def go_module(tmp_path: Path) -> Path:
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module greeter\n\ngo 1.21\n")
    (module / "main.go").write_text(
        'package main\n\nvar version = "0.0.0"\n\nfunc main() { println("greeter", version); print_(version) }\n'
    )
    (module / "print.go").write_text(
        'package main\n\nimport "os"\n\nfunc print_(text string) { os.Stdout.WriteString(text + "\\n") }\n'
    )
    return module


@needs_go
def test_after_a_failed_download_the_pinned_go_module_is_built(
    tmp_path: Path, go_module: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=vendor")  # the user's own flags must not reach our build
    reports: list[str] = []
    row = tool(
        Release(f"{host.address}/a.tar.gz", f"{host.address}/sums", "a"),
        GoBuild(go_module, "greeter", ("-ldflags=-X main.version={version}",)),
    )
    found = obtain_tool(row, lambda text, done, total: reports.append(text), tmp_path / "tools")
    assert found.origin == BY_GO
    assert any("download failed: HTTP Error 404" in reason for reason in found.passed_over)
    assert any(report.startswith(f"building greeter {VERSION}") for report in reports)


@needs_go
def test_a_build_that_fails_gives_the_compilers_last_line_and_keeps_its_words(tmp_path: Path, go_module: Path) -> None:
    (go_module / "main.go").write_text("package main\n\nfunc main() { undefined_name() }\n")
    with pytest.raises(Unavailable, match=r"go build failed: .*undefined_name") as refusal:
        obtain_tool(tool(go=GoBuild(go_module, "greeter")), folder=tmp_path / "tools")
    log = Path(str(refusal.value).split("(log: ")[1].rstrip(")"))
    assert "undefined_name" in log.read_text()


needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="there is no apt-get on PATH")


@pytest.fixture
def debian_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution of two packages on this machine, the only one that apt knows: a tool and the library it needs."""
    folder = tmp_path / "repository"
    index: list[str] = []
    for name, needs, file, content in (
        (NAME, f"lib{NAME}", f"usr/sbin/{NAME}", script(VERSION) + b'echo "$LD_LIBRARY_PATH"\n'),
        (f"lib{NAME}", "", f"usr/lib/lib{NAME}.so.1", b"a library"),
    ):
        control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: us\nDescription: greets\n"
        control += f"Depends: {needs}\n" if needs else ""
        package = folder / name
        for path, text in (("DEBIAN/control", control.encode()), (file, content)):
            (package / path).parent.mkdir(parents=True, exist_ok=True)
            (package / path).write_bytes(text)
        (package / file).chmod(0o755)
        archive = folder / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", package, archive], check=True, capture_output=True)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        index.append(f"{control}Filename: ./{archive.name}\nSize: {archive.stat().st_size}\nSHA256: {digest}\n")
    (folder / "Packages").write_text("\n".join(index))
    for empty in ("state/lists/partial", "cache/archives/partial"):
        (tmp_path / "apt" / empty).mkdir(parents=True)
    (tmp_path / "apt" / "sources.list").write_text(f"deb [trusted=yes] file:{folder} ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::State "{tmp_path}/apt/state"; Dir::State::status "/dev/null"; Dir::Cache "{tmp_path}/apt/cache";\n'
        f'Dir::Etc::sourcelist "{tmp_path}/apt/sources.list"; Dir::Etc::sourceparts "/dev/null";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return folder


def debian_tool(package: str = NAME) -> Tool:
    return Tool(NAME, VERSION, ("version",), debian=(DebianPackage(package, f"usr/sbin/{NAME}"),))


@needs_apt
def test_a_debian_package_is_unpacked_with_its_libraries_though_the_machine_has_no_lists(
    debian_repository: Path, tmp_path: Path
) -> None:
    found = obtain_tool(debian_tool(), folder=tmp_path / "tools")
    assert found.origin == BY_DEBIAN
    told = subprocess.run([found.path], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0] == f"greeter v{VERSION}"
    assert (Path(told[1]) / f"lib{NAME}.so.1").exists()
    assert list((tmp_path / "apt" / "state" / "lists").iterdir()) == [tmp_path / "apt" / "state" / "lists" / "partial"]


@needs_apt
def test_a_debian_package_that_differs_from_the_list_is_refused(debian_repository: Path, tmp_path: Path) -> None:
    with (debian_repository / f"{NAME}.deb").open("r+b") as archive:
        archive.seek(-1, 2)
        archive.write(b"!")
    with pytest.raises(Unavailable, match="Debian package: apt-get failed"):
        obtain_tool(debian_tool(), folder=tmp_path / "tools")


@needs_apt
def test_a_package_that_the_distribution_lacks_is_named(debian_repository: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Unable to locate package no-such-package"):
        obtain_tool(debian_tool("no-such-package"), folder=tmp_path / "tools")


def test_without_apt_the_remedy_is_to_install_the_tool(path: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=f"no apt-get here; install {NAME} so that it is on PATH"):
        obtain_tool(debian_tool(), folder=tmp_path / "tools")


def test_a_tool_that_may_be_any_later_version_takes_the_next_major_one(path: Path, tmp_path: Path) -> None:
    put_on_path(path, "2.0.0")
    row = Tool(NAME, VERSION, ("version",), same=0)
    assert obtain_tool(row, folder=tmp_path / "tools").origin == ON_PATH
    put_on_path(path, "1.4.1")
    with pytest.raises(Unavailable, match=r"is version 1\.4\.1, not 1\.4\.2 or later"):
        obtain_tool(row, folder=tmp_path / "tools")


def test_a_tool_that_does_not_tell_its_version_is_taken_from_nowhere_but_our_own_build(
    path: Path, host: Host, tmp_path: Path
) -> None:
    put_on_path(path, VERSION)
    silent = Tool(NAME, VERSION, (), host.release(b"#!/bin/sh\nexit 1\n"))
    found = obtain_tool(silent, folder=tmp_path / "tools")
    assert (found.origin, found.version) == (BY_DOWNLOAD, VERSION)
    assert found.passed_over == (f"{path / NAME} cannot be asked for its version",)


def test_two_processes_that_want_the_same_tool_make_it_once(path: Path, host: Host, tmp_path: Path) -> None:
    row = tool(host.release(script(VERSION)))
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(obtain_tool(row, folder=tmp_path / "tools").origin))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == sorted([BY_DOWNLOAD, IN_PROJECT, IN_PROJECT, IN_PROJECT])
    assert host.asked.count(f"/{NAME}-{VERSION}.tar.gz") == 1


def test_finding_never_fetches_nor_builds(path: Path, tmp_path: Path) -> None:
    assert find("pulumi", tmp_path / "tools") is None
    assert not (tmp_path / "tools").exists()


@pytest.mark.parametrize("name", ["", "pulumi2", "../pulumi"])
def test_a_tool_that_is_not_ours_is_refused_with_the_names_that_are(name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tools.obtain", name], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "pulumi" in result.stderr
    assert repr(name) in result.stderr


def test_the_json_output_names_version_origin_and_path(path: Path, tmp_path: Path) -> None:
    (path / "pulumi").write_text(f"#!/bin/sh\necho v{PULUMI.version}\n")
    (path / "pulumi").chmod(0o755)
    result = subprocess.run(
        [sys.executable, "-m", "tools.obtain", "pulumi", "--json"], cwd=ROOT, capture_output=True, check=True
    )
    [row] = json.loads(result.stdout)
    assert (row["name"], row["version"], row["origin"]) == ("pulumi", PULUMI.version, ON_PATH)
    assert row["path"] == str(path / "pulumi")


@pytest.mark.parametrize("row", [row for row in TOOLS.values() if row.go], ids=lambda row: row.name)
def test_the_go_module_of_a_tool_pins_the_version_of_its_row(row: Tool) -> None:
    assert row.go is not None
    module = re.sub(r"/(cmd|pkg)(/[\w-]+)?$", "", row.go.package)
    version = row.go.module_version or row.version
    assert f"{module} v{version}" in (row.go.module / "go.mod").read_text()
    assert f"{module} v{version} h1:" in (row.go.module / "go.sum").read_text()
