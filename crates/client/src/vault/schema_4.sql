-- Version 4: what is said in passing wears no ratchet out.

-- Ephemeral contents that were encrypted since the device was last heard of.
ALTER TABLE sessions ADD COLUMN unheard INTEGER NOT NULL DEFAULT 0;
