-- Of a visitor's exposures and totals, what came of events that have been removed since.
ALTER TABLE exposures ADD COLUMN removed_n INTEGER NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;

-- Who was erased, by a keyed hash of the stand-in: what still comes of them is stored nowhere until this ends.
CREATE TABLE tombstones (
    mark BLOB PRIMARY KEY,
    until_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX tombstones_until ON tombstones (until_ms);
