-- Of a visitor's exposures and totals, what came of events that have been removed since.
ALTER TABLE exposures ADD COLUMN removed_n BIGINT NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN removed BIGINT NOT NULL DEFAULT 0;

-- Who was erased, by a keyed hash of the stand-in: what still comes of them is stored nowhere until this ends.
CREATE TABLE tombstones (
    mark BYTEA PRIMARY KEY,
    until_ms BIGINT NOT NULL
);

CREATE INDEX tombstones_until ON tombstones (until_ms);
