-- compatible-from: 2
-- Assistants that people made; those of langgraph.json's graphs are in the file alone.

CREATE TABLE assistants (
    assistant_id uuid        PRIMARY KEY,
    tenant       text        NOT NULL DEFAULT '',
    owner        text        NOT NULL DEFAULT '',
    version      integer     NOT NULL DEFAULT 1,       -- the one that runs begin with
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX assistants_owner ON assistants (tenant, owner, created_at DESC);

CREATE TABLE assistant_versions (
    assistant_id uuid        NOT NULL REFERENCES assistants ON DELETE CASCADE,
    version      integer     NOT NULL,
    graph_id     text        NOT NULL,
    name         text        NOT NULL,
    description  text,
    config       jsonb       NOT NULL,
    context      jsonb       NOT NULL,
    metadata     jsonb       NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (assistant_id, version)
);
