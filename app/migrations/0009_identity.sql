-- compatible-from: 2
-- An idempotency key is its owner's; keys for programs.

CREATE UNIQUE INDEX runs_idempotency_of_owner ON runs (tenant, owner, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
DROP INDEX runs_idempotency;

CREATE TABLE api_keys (
    key_id       text        PRIMARY KEY,
    secret_hash  bytea       NOT NULL,              -- SHA-256: the secret is 256 random bits, not a password
    tenant       text        NOT NULL DEFAULT '',
    owner        text        NOT NULL DEFAULT '',
    scopes       text[]      NOT NULL,
    name         text        NOT NULL,              -- what it is for
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,                       -- never when null
    revoked_at   timestamptz,
    last_used_at timestamptz                        -- to the minute
);
