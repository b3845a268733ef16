-- compatible-from: 2
-- Whose a thread and a run are. The empty tenant and owner are those of a service without sign-in.

ALTER TABLE threads ADD COLUMN tenant text NOT NULL DEFAULT '', ADD COLUMN owner text NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN tenant text NOT NULL DEFAULT '', ADD COLUMN owner text NOT NULL DEFAULT '';
CREATE INDEX threads_owner ON threads (tenant, owner, updated_at DESC);
