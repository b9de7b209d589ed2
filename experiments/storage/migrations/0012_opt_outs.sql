-- Who objects to being counted and tailored for, by the stand-in of their id. Whoever took that back keeps a row, so that
-- every server hears of it: each change has a version of its own.
CREATE TABLE opt_outs (
    visitor BLOB PRIMARY KEY,
    is_out INTEGER NOT NULL,
    version INTEGER NOT NULL,
    at_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX opt_outs_version ON opt_outs (version);
