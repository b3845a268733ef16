"""Values and texts as a pull request may show them: no secret, no long document."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from stacks.graph import UNKNOWN, Secret

HIDDEN, UNKNOWN_TEXT = "[secret]", "(known after apply)"
_LONGEST = 80
_SECRET_NAME = re.compile(
    r"password|passwd|secret(?!s?arn|sarn)|token|private.?key|api.?key|credential|kubeconfig", re.I
)
# Ends of names that hold where a secret is, not what it is.
_POINTER = re.compile(r"(arn|arns|name|names|path|file|id|ids|days|version|kmskeyid|enabled|required|mounted)$", re.I)
_PATTERNS = (
    re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),  # AWS access key ids (IAM user guide, unique identifiers)
    re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"),  # JSON web tokens
    re.compile(r"\b(?:gh[pousr]_|github_pat_)\w{20,}"),  # GitHub's tokens
    re.compile(r"\bsk-[\w-]{20,}"),  # API keys of model providers
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.S),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),  # user:password@ of a URL
)


def cleaned(text: str) -> str:
    """The text without what looks like a secret."""
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return text


def shown(value: Any, path: str = "") -> str:
    """A value in one short line; its path may say that it is a secret."""
    name = re.split(r"[.\[]", path)[-1].strip('"]')
    if isinstance(value, Secret) or (isinstance(value, str) and _named_secret(name)):
        return HIDDEN
    if value is UNKNOWN:
        return UNKNOWN_TEXT
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(_plain(value), sort_keys=True)
    text = " ".join(cleaned(text).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _named_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _POINTER.search(name)


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return HIDDEN
    if value is UNKNOWN:
        return UNKNOWN_TEXT
    if isinstance(value, dict):
        rows = cast("dict[str, Any]", value).items()
        return {k: HIDDEN if isinstance(v, str) and _named_secret(k) else _plain(v) for k, v in rows}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value
