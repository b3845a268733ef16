"""An assessment as Markdown for a comment, and as SARIF for code scanning."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.catalogue import all_checks, domain_of
from policies.check import Check, Status, Verdict
from policies.frameworks import coverage

if TYPE_CHECKING:
    from policies.command import Assessment

SHOWN = (Status.FAIL, Status.NOT_EVALUATED, Status.WAIVED)
SARIF_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
PAGE = "docs/reference/policies.md"


def name(verdict: Verdict) -> str:
    """The resource's logical name with the place in it."""
    return " ".join(part for part in (verdict.urn.split("::")[-1], verdict.place) if part)


def grouped(found: Assessment) -> list[list[Verdict]]:
    """The verdicts that people have to read, those that say the same together; failures first."""
    rows: dict[tuple[int, str, str], list[Verdict]] = {}
    for verdict in found.of(*SHOWN):
        rows.setdefault((SHOWN.index(verdict.status), verdict.check.id, verdict.message), []).append(verdict)
    return [rows[key] for key in sorted(rows)]


def markdown(found: Assessment) -> str:
    """Counts, then a table of what failed, could not be seen, or was waived."""
    counts = ", ".join(f"{len(found.of(status))} {status.value}" for status in Status)
    lines = [f"### Policy: {found.graph.stack}", "", counts, ""]
    rows = grouped(found)
    if rows:
        lines += ["| verdict | check | severity | resources | why |", "|---|---|---|---|---|"]
    for verdicts in rows:
        first = verdicts[0]
        blocked = " **blocks**" if first.blocks else ""
        names = ", ".join(f"`{name(verdict)}`" for verdict in verdicts)
        link = f"[{first.check.id}]({PAGE}#{first.check.id})"
        lines.append(
            f"| {first.status.value}{blocked} | {link} | {first.check.severity} | {names} | {_cell(first.message)} |"
        )
    lines += [f"Waiver without a match: `{w.check}` on `{w.resource}` of {w.owner}." for w in found.unused_waivers]
    return "\n".join(lines) + "\n"


def sarif(found: Assessment) -> str:
    """SARIF 2.1.0 (OASIS), as GitHub's code scanning reads it: failures, and waived ones as suppressed."""
    results = [_result(verdict) for verdict in found.of(Status.FAIL, Status.WAIVED)]
    driver = {
        "name": "langgraph-eks policies",
        "rules": [_rule(check) for check in all_checks()],
    }
    # GitHub refuses two runs of one category in an upload (github.blog/changelog/2024-05-06): each stack has its own.
    details = {"id": f"policies/{found.graph.stack}/"}
    run = {"tool": {"driver": driver}, "automationDetails": details, "results": results}
    document = {"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": [run]}
    return json.dumps(document, indent=2) + "\n"


def reference(checks: Iterable[Check]) -> str:
    """docs/reference/policies.md: every check, what it is for and how to mend what it finds."""
    lines = [
        "# Policies",
        "",
        "<!-- Made by python -m stacks.reference; edit the program, not this page. -->",
        "",
        "What `make policy`, `pulumi preview --policy-pack policies` and the audit of an export check. Levels and"
        " parameters of an environment are in `policies/config/`, exceptions in `policies/waivers.json`.",
        "",
        "## Coverage",
        "",
        *coverage(all_checks()),
    ]
    domain = ""
    for check in checks:
        if domain_of(check) != domain:
            domain = domain_of(check)
            lines += ["", f"## {domain}"]
        controls = "; ".join(f"{framework} {', '.join(ids)}" for framework, ids in check.controls.items())
        lines += ["", f'### <a id="{check.id}"></a>{check.id}', "", f"{check.title}. ({check.severity})", ""]
        lines += [check.why, "", f"Remedy: {check.remedy}", "", f"Controls: {controls}"]
        if check.references:
            lines.append(f"\nSee also: {', '.join(check.references)}")
        if check.parameters:
            lines.append(f"\nParameters: {', '.join(f'`{key}` = {value}' for key, value in check.parameters.items())}")
    return "\n".join(lines) + "\n"


def _rule(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.why},
        "help": {"text": check.remedy},
        "defaultConfiguration": {"level": SARIF_LEVELS[check.severity]},
        "properties": {
            "tags": [f"{framework} {control}" for framework, ids in check.controls.items() for control in ids]
        },
    }


def _result(verdict: Verdict) -> dict[str, Any]:
    file, line = _component(verdict.urn)
    location = {
        "physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": line}},
        "logicalLocations": [{"fullyQualifiedName": verdict.urn, "kind": "resource"}],
    }
    result: dict[str, Any] = {
        "ruleId": verdict.check.id,
        "level": SARIF_LEVELS[verdict.check.severity] if verdict.level == "mandatory" else "note",
        "message": {"text": f"{name(verdict)}: {verdict.message}. {verdict.check.remedy}"},
        "locations": [location],
        "partialFingerprints": {"resource": f"{verdict.check.id}:{verdict.urn}:{verdict.place}"},
    }
    if verdict.status is Status.WAIVED:
        result["suppressions"] = [{"kind": "external", "justification": verdict.message}]
    return result


@cache
def _components() -> dict[str, tuple[str, int]]:
    """File and line of each component's class, by type: langgraph-eks:<layer>:<Class>."""
    root = Path(__file__).resolve().parents[2]
    found: dict[str, tuple[str, int]] = {}
    for file in sorted(root.glob("infra/*/*.py")):
        for number, text in enumerate(file.read_text().splitlines(), 1):
            if match := re.match(r"class (\w+)\(Component\)", text):
                found[f"langgraph-eks:{file.parent.name}:{match[1]}"] = (str(file.relative_to(root)), number)
    return found


def _component(urn: str) -> tuple[str, int]:
    """Where what made a resource is written: its nearest component, or else the program that calls them."""
    types = urn.split("::")[2].split("$") if "::" in urn else []
    places = [_components()[type_] for type_ in types if type_ in _components()]
    return places[-1] if places else ("stacks/platform.py", 1)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
