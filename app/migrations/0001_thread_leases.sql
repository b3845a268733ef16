-- compatible-from: 1
-- Who may write to a thread, and until when by the database's clock. A row without a holder alive simply expires.
CREATE TABLE thread_leases (
    thread_id  text        PRIMARY KEY,
    holder     uuid        NOT NULL,
    expires_at timestamptz NOT NULL
);
