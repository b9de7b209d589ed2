-- Who looked last whether a segment still makes sense, and by which day somebody looks again, in place of the day that
-- the document had.
CREATE TABLE reviews (
    experiment TEXT NOT NULL,
    segment TEXT NOT NULL,
    review_by TEXT NOT NULL,
    instead_of TEXT,
    actor TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (experiment, segment)
) WITHOUT ROWID;
