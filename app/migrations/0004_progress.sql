-- compatible-from: 2
-- A run is given up when it loses its workers without getting on, not when it runs for so long that it loses many.
ALTER TABLE runs ADD COLUMN lost_at text;  -- the thread's newest checkpoint when the run lost its last worker

-- Those that have lost two workers in a row are claimed apart.
CREATE INDEX runs_suspect ON runs (rank, number) WHERE status = 'pending' AND failures >= 2;
