"""One page of metrics for several processes: each keeps its own, the process that started them gathers at a scrape.

prometheus_client's own way (files shared by mmap) makes every count 2.5 times as dear, knows no process metrics and no
values read at the scrape, and needs a writable folder; a port for each process would put their number into the platform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

PROCESS_LABEL = "process"
ANSWER_SECONDS = 5.0  # half of Prometheus' usual scrape timeout

_direct = build_opener(ProxyHandler({}))  # these are our own processes: a proxy of the environment is not for them


class Gathered(Collector):
    """The metrics of every process that answers, each sample with the process's number.

    The label keeps a counter that begins again after a crash apart from the others, so that rate() sees the reset.
    """

    def __init__(self, pages: Callable[[], Mapping[str, str]]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        pages = self._pages()
        with ThreadPoolExecutor(max_workers=max(1, len(pages))) as pool:
            texts = dict(zip(pages, pool.map(_read, pages.values()), strict=True))
        families: dict[str, Metric] = {}
        for process, text in texts.items():
            for family in text_string_to_metric_families(text):
                gathered = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    gathered.samples.append(sample._replace(labels={**sample.labels, PROCESS_LABEL: process}))
        yield from families.values()


def gathered_registry(pages: Callable[[], Mapping[str, str]]) -> CollectorRegistry:
    """For start_http_server; `pages` gives the present processes' metrics addresses by number."""
    registry = CollectorRegistry()
    registry.register(Gathered(pages))
    return registry


def _read(page: str) -> str:
    """Nothing of a process that starts, hangs or is gone: the others' numbers are needed then."""
    try:
        with _direct.open(page, timeout=ANSWER_SECONDS) as answer:
            return answer.read().decode()
    except (URLError, OSError):
        return ""
