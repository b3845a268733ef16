"""The digest behind an image's tag, asked of its registry over HTTPS (OCI distribution specification, pulling manifests)."""

from __future__ import annotations

import json
import re
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from stacks.terminal import Exit, Refused

# An index over architectures first: its digest serves both amd64 and arm64.
_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
_DOCKER_HUB = "https://registry-1.docker.io"  # what a name without a host means (distribution/reference)
_SECONDS = 20


def digest_of(image: str) -> str:
    """The digest of name[:tag] now. Raises Refused with the reason."""
    registry, name, tag = parse(image)
    address = f"{registry}/v2/{name}/manifests/{tag}"
    try:
        found = _digest(address, None)
    except HTTPError as answer:
        if answer.code != 401:
            raise _refused(image, f"{registry} answered {answer.code}") from None
        try:
            found = _digest(address, _token(answer.headers.get("WWW-Authenticate", ""), registry))
        except (HTTPError, URLError) as error:
            raise _refused(image, f"{registry}: {error}") from None
    except URLError as error:
        raise _refused(image, f"{registry} cannot be reached: {error.reason}") from None
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", found):
        raise _refused(image, f"{registry} named no digest")
    return found


def parse(image: str) -> tuple[str, str, str]:
    """Registry address, repository and tag of a reference as Docker reads it."""
    first, _, rest = image.partition("/")
    # The first part is a host when it has a dot or a port, or is localhost; else Docker Hub, where official images are
    # below library/.
    has_host = bool(rest) and ("." in first or ":" in first or first == "localhost")
    host, path = (first, rest) if has_host else ("", image)
    name, _, tag = path.partition(":")
    if not host:
        return _DOCKER_HUB, name if "/" in name else f"library/{name}", tag or "latest"
    local = host.split(":")[0] in ("localhost", "127.0.0.1")
    return f"{'http' if local else 'https'}://{host}", name, tag or "latest"


def _digest(address: str, token: str | None) -> str:
    headers = {"Accept": _ACCEPT} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = Request(address, method="HEAD", headers=headers)  # noqa: S310 - parse() makes http(s) addresses only
    with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
        return str(answer.headers.get("Docker-Content-Digest", ""))


def _token(challenge: str, registry: str) -> str:
    """A token for anybody, from where the registry's challenge sends us."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.pop("realm", "")
    # To a loopback registry only its own host may send us without TLS.
    if urlsplit(realm).scheme != "https" and urlsplit(realm).netloc != urlsplit(registry).netloc:
        raise URLError(f"it wants a sign-in that is not known here: {challenge or 'no challenge'}")
    with urlopen(f"{realm}?{urlencode(fields)}", timeout=_SECONDS) as answer:  # noqa: S310 - the scheme is checked above
        document = json.load(answer)
    return str(document.get("token") or document.get("access_token"))


def _refused(image: str, reason: str) -> Refused:
    return Refused(f"{image}: {reason}. Check the name and the network, then run it again.", Exit.FAILED)
