-- compatible-from: 2
-- What graphs and clients remember beyond a thread. Vectors have a table of their own, made when a project asks for it.

CREATE TABLE store_items (
    tenant      text        NOT NULL DEFAULT '',
    owner       text        NOT NULL DEFAULT '',
    namespace   text[]      NOT NULL,
    key         text        NOT NULL,
    value       jsonb       NOT NULL,
    ttl_minutes double precision,             -- null: kept for ever
    expires_at  timestamptz,                  -- so long after it was written, or read
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, owner, namespace, key)
);
CREATE INDEX store_items_expiry ON store_items (expires_at) WHERE expires_at IS NOT NULL;
