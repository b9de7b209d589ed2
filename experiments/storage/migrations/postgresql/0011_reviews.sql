-- Who looked last whether a segment still makes sense, and by which day somebody looks again, in place of the day that
-- the document had.
CREATE TABLE reviews (
    experiment TEXT COLLATE "C" NOT NULL,
    segment TEXT COLLATE "C" NOT NULL,
    review_by TEXT NOT NULL,
    instead_of TEXT,
    actor TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (experiment, segment)
);
