-- When the next of the outcomes that wait in a partition becomes an orphan: until then time alone changes nothing.
ALTER TABLE collected_waiting ADD COLUMN next_ms BIGINT;

-- Processes that have ended with all applied that they ever accepted: what is brought in their name again is nothing new.
-- Their positions are there until they are cleared.
CREATE TABLE ended_spools (
    writer TEXT COLLATE "C" PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    is_clear BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE INDEX ended_spools_to_clear ON ended_spools (at_ms) WHERE NOT is_clear;
