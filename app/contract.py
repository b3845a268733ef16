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

KEEP_ALIVE_SECONDS = 340
"""An idle connection is closed by the load balancer first: a request it sends on one we just closed would be a 502."""

ENV_HOST = "AGENT_HOST"
ENV_PORT = "AGENT_PORT"
ENV_METRICS_PORT = "AGENT_METRICS_PORT"
ENV_LOG_LEVEL = "AGENT_LOG_LEVEL"
ENV_CONFIG = "AGENT_CONFIG"
ENV_DATABASE_URL = "AGENT_DATABASE_URL"
ENV_DATABASE_DIRECT_URL = "AGENT_DATABASE_DIRECT_URL"
ENV_DATABASE_PASSWORD_FILE = "AGENT_DATABASE_PASSWORD_FILE"  # noqa: S105  the name of a variable
ENV_DATA_DIRECTORY = "AGENT_DATA_DIRECTORY"
ENV_POOL_MIN_SIZE = "AGENT_POOL_MIN_SIZE"
ENV_POOL_MAX_SIZE = "AGENT_POOL_MAX_SIZE"
ENV_POOL_TIMEOUT_SECONDS = "AGENT_POOL_TIMEOUT_SECONDS"
ENV_PREPARE_THRESHOLD = "AGENT_PREPARE_THRESHOLD"
ENV_MODEL = "AGENT_MODEL"
ENV_MODEL_FALLBACKS = "AGENT_MODEL_FALLBACKS"
ENV_MODEL_TIMEOUT_SECONDS = "AGENT_MODEL_TIMEOUT_SECONDS"
ENV_VALKEY_URL = "AGENT_VALKEY_URL"
ENV_VALKEY_IAM_CACHE = "AGENT_VALKEY_IAM_CACHE"
ENV_VALKEY_IAM_REGION = "AGENT_VALKEY_IAM_REGION"
ENV_ROLE = "AGENT_ROLE"
ENV_PROCESSES = "AGENT_PROCESSES"
ENV_WORKER_SLOTS = "AGENT_WORKER_SLOTS"
ENV_QUEUE_LIMIT = "AGENT_QUEUE_LIMIT"
ENV_EVENT_RETENTION_SECONDS = "AGENT_EVENT_RETENTION_SECONDS"
ENV_RUN_RETENTION_SECONDS = "AGENT_RUN_RETENTION_SECONDS"
ENV_SESSIONS = "AGENT_SESSIONS"
ENV_CHECKPOINT_RETENTION_SECONDS = "AGENT_CHECKPOINT_RETENTION_SECONDS"
ENV_CORS_ORIGINS = "AGENT_CORS_ORIGINS"
ENV_MAX_BODY_BYTES = "AGENT_MAX_BODY_BYTES"
ENV_TRUSTED_PROXIES = "AGENT_TRUSTED_PROXIES"
ENV_USER_RATE = "AGENT_USER_RATE"
ENV_USER_BURST = "AGENT_USER_BURST"
ENV_ADDRESS_RATE = "AGENT_ADDRESS_RATE"
ENV_ADDRESS_BURST = "AGENT_ADDRESS_BURST"
ENV_USER_RUNS = "AGENT_USER_RUNS"
ENV_USER_STREAMS = "AGENT_USER_STREAMS"
ENV_PROCESS_STREAMS = "AGENT_PROCESS_STREAMS"
ENV_HEAD_SECONDS = "AGENT_HEAD_SECONDS"
ENV_BODY_SECONDS = "AGENT_BODY_SECONDS"
ENV_RECURSION_LIMIT = "AGENT_RECURSION_LIMIT"
ENV_RUN_TIMEOUT_SECONDS = "AGENT_RUN_TIMEOUT_SECONDS"
ENV_DRAIN_SECONDS = "AGENT_DRAIN_SECONDS"
ENV_WEBHOOK_SECRET_FILE = "AGENT_WEBHOOK_SECRET_FILE"  # noqa: S105  the name of a variable
ENV_WEBHOOK_PRIVATE_HOSTS = "AGENT_WEBHOOK_PRIVATE_HOSTS"

OTHER_NAMES = {"DATABASE_URL": ENV_DATABASE_URL, "VALKEY_URL": ENV_VALKEY_URL}
"""Names that hosts and other services use; ours go before them."""

METRIC_HTTP_REQUESTS = "agent_http_requests_total"
METRIC_HTTP_DURATION = "agent_http_request_duration_seconds"
METRIC_LIMITS_REFUSED = "agent_limits_refused_total"
METRIC_LIMITS_DEGRADED = "agent_limits_degraded"
METRIC_STREAMS_OPEN = "agent_streams_open"
METRIC_TIME_TO_FIRST_EVENT = "agent_ttft_seconds"
METRIC_EVENTS_WRITTEN = "agent_events_written_total"

METRIC_ACTIVE_WORKFLOWS = "agent_active_workflows"
METRIC_RUNS = "agent_runs_total"
METRIC_RUN_DURATION = "agent_run_duration_seconds"
METRIC_RUN_CLAIMS = "agent_run_claims_total"
METRIC_RUN_RESUMED = "agent_run_resumed_total"
METRIC_RUN_RETRIES = "agent_run_retries_total"
METRIC_DEAD_LETTERS = "agent_run_dead_letters_total"
METRIC_LEASE_LOSSES = "agent_lease_losses_total"
METRIC_DRAINS = "agent_drains_total"

METRIC_CRON_FIRINGS = "agent_cron_firings_total"
METRIC_WEBHOOKS = "agent_webhooks_total"

METRIC_QUEUE_DEPTH = "agent_queue_depth"
METRIC_QUEUE_OLDEST = "agent_queue_oldest_age_seconds"

METRIC_NODE_DURATION = "agent_node_duration_seconds"
METRIC_NODE_ERRORS = "agent_node_errors_total"
METRIC_LLM_REQUESTS = "agent_llm_requests_total"
METRIC_LLM_TOKENS = "agent_llm_tokens_total"

METRIC_POOL_WAIT = "agent_pool_wait_seconds"
METRIC_POOL_SIZE = "agent_pool_connections"
METRIC_POOL_USED = "agent_pool_connections_used"
METRIC_POOL_WAITING = "agent_pool_requests_waiting"
METRIC_SIGNALS_DEGRADED = "agent_signals_degraded"

ROUTE_CLASS_INTERACTIVE = "interactive"
"""The route class the latency objective (p95 < 2 s) is about."""
