-- compatible-from: 2
-- Runs that begin by themselves, and what is told of a run's end.

CREATE TABLE crons (
    cron_id      uuid        PRIMARY KEY,
    tenant       text        NOT NULL DEFAULT '',
    owner        text        NOT NULL DEFAULT '',
    assistant_id text        NOT NULL,
    thread_id    text        REFERENCES threads ON DELETE CASCADE,  -- null: each run has a thread of its own
    keep_threads boolean     NOT NULL DEFAULT false,                -- those threads stay after their runs
    schedule     text        NOT NULL,                              -- five fields, as cron has them
    timezone     text,                                              -- IANA; UTC when null
    end_time     timestamptz,
    enabled      boolean     NOT NULL DEFAULT true,
    request      bytea       NOT NULL,                              -- what to run; holds the user's words
    webhook      bytea,
    metadata     jsonb       NOT NULL DEFAULT '{}',
    strategy     text        NOT NULL,
    next_run_at  timestamptz,                                       -- null: never again
    attempt_at   timestamptz,                                       -- when that firing is tried, or tried again
    attempts     integer     NOT NULL DEFAULT 0,
    problem      jsonb,                                             -- why the last firing is without a run
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX crons_due ON crons (attempt_at) WHERE enabled AND next_run_at IS NOT NULL;
CREATE INDEX crons_owner ON crons (tenant, owner, created_at DESC);
CREATE INDEX crons_thread ON crons (thread_id) WHERE thread_id IS NOT NULL;

ALTER TABLE runs ADD COLUMN webhook bytea;  -- where its end is told: an address may hold a secret

CREATE TABLE webhooks (
    run_id      uuid        PRIMARY KEY,  -- no reference: a stateless run's row may go before it is delivered
    thread_id   text        NOT NULL,
    tenant      text        NOT NULL DEFAULT '',
    owner       text        NOT NULL DEFAULT '',
    url         bytea       NOT NULL,
    run         jsonb       NOT NULL,     -- as it ended
    state       bytea,                    -- the values of its thread, as JSON; null for a run that no worker ended
    attempts    integer     NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now(),  -- the next attempt; moved on by whoever makes one
    dead        boolean     NOT NULL DEFAULT false,  -- given up
    problem     text,                     -- how the last attempt failed
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhooks_due ON webhooks (due_at) WHERE NOT dead;
CREATE INDEX webhooks_thread ON webhooks (thread_id);
CREATE INDEX webhooks_owner ON webhooks (tenant, owner);

-- In the transaction that ends the run, whichever statement does.
CREATE FUNCTION keep_webhook() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhooks (run_id, thread_id, tenant, owner, url, run) VALUES (
        NEW.run_id, NEW.thread_id, NEW.tenant, NEW.owner, NEW.webhook,
        jsonb_build_object(
            'run_id', NEW.run_id, 'thread_id', NEW.thread_id, 'assistant_id', NEW.assistant_id,
            'status', NEW.status, 'metadata', NEW.metadata, 'multitask_strategy', NEW.strategy, 'error', NEW.error,
            'created_at', NEW.created_at, 'updated_at', NEW.updated_at,
            'run_started_at', NEW.started_at, 'run_ended_at', NEW.ended_at
        )
    );
    RETURN NULL;
END $$;
CREATE TRIGGER runs_webhook AFTER UPDATE OF ended_at ON runs FOR EACH ROW
    WHEN (NEW.webhook IS NOT NULL AND OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL)
    EXECUTE FUNCTION keep_webhook();
