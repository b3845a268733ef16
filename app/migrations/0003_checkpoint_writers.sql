-- compatible-from: 2
-- Which run put a write: a roll-back also takes back what the run put on the checkpoint it went on from.

ALTER TABLE checkpoint_writes ADD COLUMN written_by uuid;  -- LangGraph's own statements name their columns and pass it by
