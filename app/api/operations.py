"""/health, /ready and /metrics, for Kubernetes and Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from app import contract
from app.api.dependencies import AnyService
from app.api.schemas import Check, ReadyBody

router = APIRouter(tags=["operations"])


@router.get(contract.LIVE_PATH, operation_id="health")
async def health() -> dict[str, str]:
    """The process answers. It asks nothing else: a database outage must not restart every pod."""
    return {"status": "ok"}


@router.get(contract.READY_PATH, operation_id="ready", responses={503: {"model": ReadyBody}})
async def ready(service: AnyService, response: Response) -> ReadyBody:
    """Whether requests should come here, and for each dependency why not."""
    reasons = {
        "process": "stopping" if service.draining.is_set() else None,
        "database": await service.database.reason_not_ready(),
    }
    if service.sign_in:
        reasons["sign_in"] = service.sign_in.reason_not_ready()
    checks = {name: Check(ok=reason is None, reason=reason) for name, reason in reasons.items()}
    is_ready = all(check.ok for check in checks.values())
    response.status_code = 200 if is_ready else 503
    degraded = {"wake-ups": service.signals.reason_degraded(), "limits": service.rates.reason_degraded()}
    return ReadyBody(ready=is_ready, checks=checks, degraded={name: why for name, why in degraded.items() if why})


def metrics_router(registry: CollectorRegistry) -> APIRouter:
    """Metrics on the API's port, for the laptop; in Kubernetes they have a port of their own."""
    metrics = APIRouter(tags=["operations"])

    @metrics.get(contract.METRICS_PATH, operation_id="metrics", response_class=PlainTextResponse)
    async def scrape() -> Response:  # pyright: ignore[reportUnusedFunction]  FastAPI uses it
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return metrics
