-- A device that asks for its queue again and again is not told of the same overflow each
-- time.
ALTER TABLE messages.overflows ADD COLUMN last_told_at timestamptz;
