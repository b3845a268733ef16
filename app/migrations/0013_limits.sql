-- compatible-from: 2
-- The unfinished runs of a user, counted at each acceptance.
CREATE INDEX runs_unfinished ON runs (tenant, owner) WHERE status IN ('pending', 'running');

-- Threads past the absolute end of their session. Threads are rewritten, but their pages stay roughly in this order.
CREATE INDEX threads_created ON threads USING brin (created_at);

-- Who did what. Rows are added, never changed: each holds the hash of itself and the row before it in its chain.
CREATE TABLE audit_log (
    chain      text        NOT NULL,               -- one process from its start to its end; later ones sort behind
    number     bigint      NOT NULL,               -- 1, 2, 3 ... within the chain
    at         timestamptz NOT NULL,               -- by the process's clock, for it is hashed
    tenant     text        NOT NULL,
    subject    uuid,                               -- the user, by audit_subjects; none before a sign-in
    key_id     text,                               -- the API key used, when it was one
    action     text        NOT NULL,
    operation  text        NOT NULL,               -- the route, as the OpenAPI document names it
    object     text,                               -- ids; one that a user may have made up is an HMAC by the user's salt
    request_id text,
    status     integer     NOT NULL,               -- of the answer
    hash       bytea       NOT NULL,
    PRIMARY KEY (chain, number)
);
CREATE INDEX audit_log_subject ON audit_log (subject, at);

-- Who a subject is. Without this row nobody can tell any more, and the chains stay whole.
CREATE TABLE audit_subjects (
    tenant  text  NOT NULL,
    owner   text  NOT NULL,
    subject uuid  NOT NULL UNIQUE,
    salt    bytea NOT NULL,
    PRIMARY KEY (tenant, owner)
);

-- app/database_init makes the service's role before its tables; a laptop has none.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'agent_app') THEN
        REVOKE ALL ON audit_log FROM agent_app;
        GRANT SELECT, INSERT ON audit_log TO agent_app;
    END IF;
END $$;
