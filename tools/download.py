"""The official archive of a tool: fetched, compared with the release's own digest, and one binary taken out."""

from __future__ import annotations

import hashlib
import platform
import shutil
import tarfile
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import IO

from tools.activity import Report
from tools.catalogue import Release, Tool, Unavailable

CONNECT_SECONDS = 5.0  # a closed network should fall through to the next way before anybody wonders
STALL_SECONDS = 60.0  # once the host has answered, a slow line may pause this long
BLOCK = 1 << 20


def download(tool: Tool, release: Release, target: Path, report: Report) -> None:
    """Put the tool's binary at target, or raise Unavailable."""
    archive_address = filled(release.archive, tool, release)
    file_name = archive_address.rsplit("/", 1)[-1]
    archive = target.with_name(target.name + ".archive")
    try:
        report(f"downloading {tool.name} {tool.version}: asking for its checksums", 0, None)
        with _open(filled(release.checksums, tool, release), CONNECT_SECONDS) as answer:
            expected = digest_of(file_name, answer.read(BLOCK).decode())
        with _open(archive_address, STALL_SECONDS) as answer, archive.open("wb") as file:
            actual = _copy(answer, file, f"downloading {tool.name} {tool.version}", report)
        if actual != expected:
            raise Unavailable(
                f"download refused: {file_name} has SHA-256 {actual[:12]}…, its release says {expected[:12]}…"
            )
        _take_out(archive, filled(release.member, tool, release), target)
    except (OSError, HTTPException, tarfile.TarError, UnicodeDecodeError) as error:
        raise Unavailable(f"download failed: {error}") from error
    finally:
        archive.unlink(missing_ok=True)


def filled(address: str, tool: Tool, release: Release) -> str:
    """An address or a path for this machine."""
    system, machine = platform.system().lower(), dict(release.machines).get(platform.machine().lower())
    if system not in release.systems or machine is None:
        raise Unavailable(f"no official {tool.name} for {platform.system()} on {platform.machine()}")
    return address.format(version=tool.version, system=system, machine=machine)


def digest_of(file_name: str, checksums: str) -> str:
    """The digest that a list in sha256sum format gives for a file."""
    for line in checksums.splitlines():
        digest, _, name = line.strip().partition(" ")
        if name.strip().lstrip("*") == file_name and len(digest) == 64:
            return digest.lower()
    raise Unavailable(f"download refused: the release's checksums do not list {file_name}")


def _open(address: str, seconds: float) -> IO[bytes]:
    return urllib.request.urlopen(address, timeout=seconds)  # noqa: S310  addresses are constants of the catalogue


def _copy(answer: IO[bytes], file: IO[bytes], text: str, report: Report) -> str:
    digest, done = hashlib.sha256(), 0
    total = int(getattr(answer, "headers", {}).get("Content-Length") or 0) or None
    while block := answer.read(BLOCK):
        digest.update(block)
        file.write(block)
        done += len(block)
        report(f"{text}: {done >> 20} of {(total or 0) >> 20 or '?'} MiB", done, total)
    return digest.hexdigest()


def _take_out(archive: Path, member: str, target: Path) -> None:
    with tarfile.open(archive) as opened:
        try:
            content = opened.extractfile(member)
        except KeyError:
            content = None
        if content is None:
            raise Unavailable(f"download refused: the archive has no {member}")
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file, BLOCK)
    target.chmod(0o755)
