"""What a framework asks in all, what of it a program can show, and what no check here covers, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from policies.check import Check, Framework


@dataclass(frozen=True)
class Catalogue:
    """A framework's controls as read in its source. Both reasons are by control id."""

    framework: Framework
    source: str
    controls: tuple[str, ...]
    out_of_sight: Mapping[str, str]  # a program that describes infrastructure cannot show it
    uncovered: Mapping[str, str]

    def covered(self, checks: Iterable[Check]) -> list[str]:
        mapped = {control for check in checks for control in check.controls.get(self.framework, ())}
        return [control for control in self.controls if control in mapped]


def _ids(prefix: str, last: int) -> tuple[str, ...]:
    return tuple(f"{prefix}.{number}" for number in range(1, last + 1))


NODE = "a file on the node: AWS's image and EKS's bootstrap set it; run kube-bench on a node"
KUBELET = "the kubelet's own configuration: AWS's image sets it, and nothing of ours changes it"

CIS_EKS = Catalogue(
    "CIS EKS",
    "kubescape regolibrary, frameworks/cis-eks-t1.8.0.json",
    (
        *("2.1.1",), *_ids("3.1", 4), *_ids("3.2", 9), *_ids("4.1", 12), *_ids("4.2", 5), *_ids("4.3", 2),
        *_ids("4.4", 2), *_ids("4.5", 2), *_ids("5.1", 4), "5.2.1", "5.3.1", *_ids("5.4", 5), "5.5.1",
    ),
    dict.fromkeys(_ids("3.1", 4), NODE) | dict.fromkeys(_ids("3.2", 9), KUBELET),
    {
        "4.1.4": "no check looks for Roles that create pods; ours create none",
        "4.1.9": "no check looks for Roles that create persistent volumes; ours create none",
        "4.5.1": "which workloads belong apart is a person's judgement",
        "5.1.2": "who may read the registry is the account's, made by stacks.bootstrap outside the stack",
    },
)  # fmt: skip

NSA = Catalogue(
    "NSA/CISA",
    "kubescape regolibrary, frameworks/nsaframework.json",
    tuple(
        f"C-{number:04}"
        for number in (
            2, 5, 12, 13, 16, 17, 30, 34, 35, 38, 41, 44, 46, 54, 55, 57, 58, 59, 66, 67, 68, 69, 70, 270, 271,
        )
    ),
    {
        "C-0005": "the API server is AWS's: its flags are not ours",
        "C-0058": "a defect of running kubelets, mended by their version",
        "C-0059": "a defect of ingress-nginx, which is not used",
        "C-0068": "PodSecurityPolicy left Kubernetes with 1.25; pods-namespace-guarded checks what took its place",
        "C-0069": KUBELET,
        "C-0070": KUBELET,
    },
    {"C-0270": "a CPU limit throttles a pod that could have idle CPU; requests are checked"},
)  # fmt: skip

CATALOGUES = (CIS_EKS, NSA)
# AWS FSBP, SOC 2 and Pod Security are mapped check by check; their whole lists were not read, so no share is claimed.


def coverage(checks: Iterable[Check]) -> list[str]:
    """The table, and under it what is not covered and why."""
    known = list(checks)
    lines = [
        "| framework | controls | a program can show | covered by checks | source |",
        "|---|---|---|---|---|",
    ]
    for catalogue in CATALOGUES:
        seen = len(catalogue.controls) - len(catalogue.out_of_sight)
        found = len(catalogue.covered(known))
        share = f"{found} ({found / seen:.0%})"
        lines.append(f"| {catalogue.framework} | {len(catalogue.controls)} | {seen} | {share} | {catalogue.source} |")
    lines += ["", "AWS FSBP, SOC 2 and Pod Security: mapped below; their whole lists were not compared.", ""]
    for catalogue in CATALOGUES:
        for title, reasons in (("not covered", catalogue.uncovered), ("not to be seen", catalogue.out_of_sight)):
            lines += [f"{catalogue.framework}, {title}:", ""]
            for reason in dict.fromkeys(reasons.values()):
                controls = ", ".join(control for control, why in reasons.items() if why == reason)
                lines.append(f"- {controls}: {reason}")
            lines.append("")
    return lines
