"""Kubernetes quantities as numbers: CPU in millicores, memory in MiB."""

from __future__ import annotations

import re

CPU_PATTERN = r"^(\d+m|\d+(\.\d+)?)$"
MEMORY_PATTERN = r"^\d+(Mi|Gi)$"


def millicores(quantity: str) -> int:
    """``"500m"`` is 500, ``"2"`` is 2000. Raises ValueError for anything else."""
    if not re.match(CPU_PATTERN, quantity):
        raise ValueError(f"{quantity!r} is not a CPU quantity such as 500m or 2")
    return int(quantity[:-1]) if quantity.endswith("m") else round(float(quantity) * 1000)


def mebibytes(quantity: str) -> int:
    """``"512Mi"`` is 512, ``"4Gi"`` is 4096. Raises ValueError for anything else."""
    if not re.match(MEMORY_PATTERN, quantity):
        raise ValueError(f"{quantity!r} is not a memory quantity such as 512Mi or 4Gi")
    number = int(quantity[:-2])
    return number * 1024 if quantity.endswith("Gi") else number
