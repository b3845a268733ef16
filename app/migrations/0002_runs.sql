-- compatible-from: 2
-- Threads, their runs, and the events of runs. Every time is the database's, so no process's clock matters.

DROP TABLE thread_leases;  -- a run's own lease replaces it

CREATE TABLE threads (
    thread_id   text        PRIMARY KEY,
    graph_id    text,                                  -- the graph that wrote its state; none before the first run
    status      text        NOT NULL DEFAULT 'idle' CHECK (status IN ('idle', 'busy', 'interrupted', 'error')),
    metadata    jsonb       NOT NULL DEFAULT '{}',
    interrupts  text[]      NOT NULL DEFAULT '{}',     -- ids of the questions that wait for an answer
    ttl_seconds integer     CHECK (ttl_seconds > 0),   -- deleted this long after its last change; never when null
    temporary   boolean     NOT NULL DEFAULT false,    -- of a stateless run: no search finds it
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    pruned_at   timestamptz                            -- since when only its newest checkpoint is kept
);
CREATE INDEX threads_metadata ON threads USING gin (metadata jsonb_path_ops);
CREATE INDEX threads_updated ON threads (updated_at DESC);
CREATE INDEX threads_expiry ON threads (updated_at) WHERE ttl_seconds IS NOT NULL;

CREATE TABLE runs (
    run_id          uuid        PRIMARY KEY,
    number          bigint      GENERATED ALWAYS AS IDENTITY,  -- the order of acceptance
    thread_id       text        NOT NULL REFERENCES threads ON DELETE CASCADE,
    graph_id        text        NOT NULL,
    assistant_id    text        NOT NULL,
    status          text        NOT NULL CHECK (
        status IN ('pending', 'running', 'success', 'error', 'timeout', 'interrupted', 'cancelled')),
    request         bytea       NOT NULL,                      -- what to run: input or command, config, stream modes
    metadata        jsonb       NOT NULL DEFAULT '{}',
    strategy        text        NOT NULL,                      -- what it does to the thread's other runs
    recorded        boolean     NOT NULL DEFAULT false,        -- its events are kept for streams
    idempotency_key text,
    request_digest  bytea,                                     -- tells a repetition from another request with the key
    trace_context   text,                                      -- W3C traceparent of the request
    available_at    timestamptz NOT NULL DEFAULT now(),        -- not before: delayed start, back-off
    rank            timestamptz NOT NULL,                      -- the queue's order: acceptance plus the priority's handicap
    priority        text        NOT NULL CHECK (priority IN ('high', 'normal', 'low')),
    failures        integer     NOT NULL DEFAULT 0,            -- workers or connections lost under it
    fence           bigint      NOT NULL DEFAULT 0,            -- grows with every claim; a write needs the newest
    worker          uuid,
    lease_until     timestamptz,
    cancel_action   text        CHECK (cancel_action IN ('interrupt', 'rollback')),
    dead_letter     boolean     NOT NULL DEFAULT false,        -- given up after too many failures
    error           jsonb,                                     -- {"error": type, "message": text for the caller}
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    ended_at        timestamptz,
    CHECK ((status = 'running') = (worker IS NOT NULL AND lease_until IS NOT NULL))
);
CREATE UNIQUE INDEX runs_one_running_per_thread ON runs (thread_id) WHERE status = 'running';
CREATE UNIQUE INDEX runs_idempotency ON runs (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_queue ON runs (rank, number) WHERE status = 'pending';
CREATE INDEX runs_leases ON runs (lease_until) WHERE status = 'running';
CREATE INDEX runs_thread ON runs (thread_id, number DESC);
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE run_events (
    run_id     uuid        NOT NULL REFERENCES runs ON DELETE CASCADE,
    id         bigint      NOT NULL,                           -- 1, 2, 3 ... within the run, over all its attempts
    event      text        NOT NULL,                           -- as SSE names it: values, updates, messages|namespace
    data       bytea       NOT NULL,                           -- JSON
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, id)
);
CREATE INDEX run_events_age ON run_events USING brin (created_at);
