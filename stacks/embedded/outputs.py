"""What a created resource gets from its cloud: its id and computed outputs, the same for the same URN and generation."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping
from typing import Any, cast

from stacks.embedded import ACCOUNT
from stacks.embedded.aws_types import TYPES
from stacks.graph import UNKNOWN


def created(
    token: str, name: str, urn: str, inputs: Mapping[str, Any], region: str, generation: int = 0
) -> tuple[str, dict[str, Any]]:
    """The id and the computed outputs of a new resource of any of our packages.

    ``generation`` tells a replacement from what it replaces. Raises LookupError for an AWS type without a row.
    """
    if token.startswith("pulumi:"):
        return str(uuid.uuid5(uuid.NAMESPACE_URL, urn)), {}
    package = token.split(":", 1)[0]
    if package == "kubernetes":
        return _kubernetes(urn, inputs, generation)
    if package == "random":
        return _random(token, urn, inputs, generation)
    row = TYPES.get(token)
    if row is None:
        raise LookupError(
            f"{token}: the embedded cloud has no row for this type. Add one to stacks/embedded/aws_types.py."
        )
    named = {row.name: physical_name(name, urn, generation)} if row.name and row.name not in inputs else {}
    facts: dict[str, Any] = {**inputs, **named, **_digits(urn, generation), "region": region, "account": ACCOUNT}
    if "path" in row.outputs:
        facts.setdefault("path", row.outputs["path"])
    outputs: dict[str, Any] = dict(named)
    # An id may be an ARN and an ARN may hold an id: what the first round cannot fill, the second can.
    for _ in range(2):
        outputs |= {key: _filled(template, facts) for key, template in row.outputs.items() if key not in inputs}
        outputs |= _merged(row.outputs, inputs, facts)
        facts |= {key: value for key, value in outputs.items() if "{" not in str(value)}
        identifier = str(_filled(row.id, facts))
        if "{" not in identifier:
            facts["id"] = identifier
    return facts["id"], outputs


def physical_name(name: str, urn: str, generation: int) -> str:
    """The name Pulumi makes where none is given: the logical name and seven characters."""
    return f"{name}-{_hash(urn, generation)[:7]}"


def _merged(templates: Mapping[str, Any], inputs: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs that complete an input of the same name: ``vpcConfig`` gets its cluster security group."""
    return {
        key: {**inputs[key], **_filled(template, facts)}
        for key, template in templates.items()
        if isinstance(template, dict) and isinstance(inputs.get(key), dict)
    }


def _filled(template: Any, facts: Mapping[str, Any]) -> Any:
    if isinstance(template, str):
        return template.format_map(_Facts(facts))
    if isinstance(template, dict):
        return {key: _filled(value, facts) for key, value in cast("dict[str, Any]", template).items()}
    if isinstance(template, list):
        return [_filled(value, facts) for value in cast("list[Any]", template)]
    return template


class _Facts(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def _hash(urn: str, generation: int) -> str:
    return hashlib.sha256(f"{urn}#{generation}".encode()).hexdigest()


def _digits(urn: str, generation: int) -> dict[str, str]:
    digest = _hash(urn, generation)
    return {
        "h8": digest[:8],
        "h12": digest[:12],
        "h17": digest[:17],
        "H17": digest[:17].upper(),
        "H26": digest[:26].upper(),
        "H32": digest[:32].upper(),
        "octet": str(int(digest[:2], 16)),
        "uuid": str(uuid.UUID(digest[:32])),
        "base64": base64.b64encode(f"embedded cloud, {digest[:12]}".encode()).decode(),
    }


def _kubernetes(urn: str, inputs: Mapping[str, Any], generation: int) -> tuple[str, dict[str, Any]]:
    digest = _hash(urn, generation)
    if "metadata" not in inputs:  # helm.sh/v3:Release
        namespace, name = inputs.get("namespace", "default"), inputs.get("name", digest[:8])
        return f"{namespace}/{name}", {"status": {"status": "deployed", "name": name, "namespace": namespace}}
    metadata: dict[str, Any] = dict(inputs["metadata"])
    parts = [metadata.get("namespace"), metadata.get("name")]
    if any(part is UNKNOWN for part in parts):
        return "", {}
    stamped = {
        **metadata,
        "uid": str(uuid.UUID(digest[:32])),
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",  # fixed: outputs are a function of the URN
    }
    return "/".join(str(part) for part in parts if part), {"metadata": stamped}


def _random(token: str, urn: str, inputs: Mapping[str, Any], generation: int) -> tuple[str, dict[str, Any]]:
    digest = _hash(urn, generation)
    if token != "random:index/randomId:RandomId":  # noqa: S105 - a Pulumi type
        raise LookupError(f"{token}: only RandomId is known here. Values that are secrets must not be in the state.")
    raw = bytes.fromhex(digest)[: int(inputs["byteLength"])]
    prefix = str(inputs.get("prefix", ""))
    encoded = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return encoded, {
        "b64Url": prefix + encoded,
        "b64Std": prefix + base64.b64encode(raw).decode(),
        "hex": prefix + raw.hex(),
        "dec": prefix + str(int.from_bytes(raw, "big")),
    }
