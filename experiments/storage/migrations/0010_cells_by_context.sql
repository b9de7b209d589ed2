-- Under a policy by context a propensity is constant within a context: so cells are kept by it, '' where it does not matter.
CREATE TABLE cells_by_context (
    experiment TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    day INTEGER NOT NULL,
    segment TEXT NOT NULL,
    arm TEXT NOT NULL,
    asserted INTEGER NOT NULL,
    metric TEXT NOT NULL,
    context TEXT NOT NULL DEFAULT '',
    n INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    sum2 REAL NOT NULL,
    removed_n INTEGER NOT NULL DEFAULT 0,
    removed_sum INTEGER NOT NULL DEFAULT 0,
    removed_sum2 REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (experiment, epoch, day, segment, arm, asserted, metric, context)
) WITHOUT ROWID;

INSERT INTO cells_by_context
    (experiment, epoch, day, segment, arm, asserted, metric, n, sum, sum2, removed_n, removed_sum, removed_sum2)
    SELECT experiment, epoch, day, segment, arm, asserted, metric, n, sum, sum2, removed_n, removed_sum, removed_sum2
    FROM cells;

DROP TABLE cells;

ALTER TABLE cells_by_context RENAME TO cells;
