-- compatible-from: 2
-- Whether a client of the event streaming protocol has been told of the run's end.

ALTER TABLE runs ADD COLUMN end_told boolean NOT NULL DEFAULT false;
