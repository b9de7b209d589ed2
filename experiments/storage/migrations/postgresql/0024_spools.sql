-- Whoever has to decide what the loss of a spool means wants to know where it was, and how much of it waited.
ALTER TABLE spools ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE spools ADD COLUMN entries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE spools ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;

-- Spools that were given up: since when what was accepted there may not be counted, and when somebody accepted that.
CREATE TABLE lost_spools (
    writer TEXT COLLATE "C" PRIMARY KEY,
    since_ms BIGINT NOT NULL,
    accepted_ms BIGINT NOT NULL
);
