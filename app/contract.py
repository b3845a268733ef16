"""What the platform and the service agree on: ports, paths, environment variables, metric names.

Constants only, without imports: `infra/kubernetes` reads them, and a contract test compares both halves.
"""

PORT = 8000
METRICS_PORT = 9090
"""Metrics have a port of their own in Kubernetes, so that the load balancer can never reach them."""

LIVE_PATH = "/health"
READY_PATH = "/ready"
METRICS_PATH = "/metrics"

USER_ID = 10001
"""The image runs as this user and needs no writable path."""

DRAIN_SECONDS = 75
"""Time a stopping process gives to the runs it has: Spot gives 120 s in all, the preStop sleep takes 15 s."""

ENV_HOST = "AGENT_HOST"
ENV_PORT = "AGENT_PORT"
ENV_METRICS_PORT = "AGENT_METRICS_PORT"
ENV_LOG_LEVEL = "AGENT_LOG_LEVEL"
ENV_CONFIG = "AGENT_CONFIG"
ENV_DATABASE_URL = "AGENT_DATABASE_URL"
ENV_DATABASE_PASSWORD_FILE = "AGENT_DATABASE_PASSWORD_FILE"  # noqa: S105  the name of a variable
ENV_DATA_DIRECTORY = "AGENT_DATA_DIRECTORY"
ENV_POOL_MIN_SIZE = "AGENT_POOL_MIN_SIZE"
ENV_POOL_MAX_SIZE = "AGENT_POOL_MAX_SIZE"
ENV_POOL_TIMEOUT_SECONDS = "AGENT_POOL_TIMEOUT_SECONDS"
ENV_PREPARE_THRESHOLD = "AGENT_PREPARE_THRESHOLD"
ENV_MODEL = "AGENT_MODEL"
ENV_MODEL_FALLBACKS = "AGENT_MODEL_FALLBACKS"
ENV_MODEL_TIMEOUT_SECONDS = "AGENT_MODEL_TIMEOUT_SECONDS"
ENV_MAX_BODY_BYTES = "AGENT_MAX_BODY_BYTES"
ENV_RECURSION_LIMIT = "AGENT_RECURSION_LIMIT"
ENV_RUN_TIMEOUT_SECONDS = "AGENT_RUN_TIMEOUT_SECONDS"
ENV_DRAIN_SECONDS = "AGENT_DRAIN_SECONDS"

METRIC_HTTP_REQUESTS = "agent_http_requests_total"
METRIC_HTTP_DURATION = "agent_http_request_duration_seconds"
METRIC_ACTIVE_WORKFLOWS = "agent_active_workflows"
METRIC_RUNS = "agent_runs_total"
METRIC_LLM_REQUESTS = "agent_llm_requests_total"
METRIC_LLM_TOKENS = "agent_llm_tokens_total"

ROUTE_CLASS_INTERACTIVE = "interactive"
"""The route class the latency objective (p95 < 2 s) is about."""
