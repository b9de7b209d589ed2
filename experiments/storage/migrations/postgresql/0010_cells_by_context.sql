-- Under a policy by context a propensity is constant within a context: so cells are kept by it, '' where it does not matter.
ALTER TABLE cells_by_lane ADD COLUMN context TEXT COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE cells_by_lane DROP CONSTRAINT cells_by_lane_pkey;

ALTER TABLE cells_by_lane
    ADD PRIMARY KEY (experiment, epoch, day, segment, arm, asserted, metric, context, lane);

DROP VIEW cells;

CREATE VIEW cells AS
    SELECT experiment, epoch, day, segment, arm, asserted, metric, context,
        sum(n)::bigint AS n, sum(sum)::bigint AS sum, sum(sum2) AS sum2,
        sum(removed_n)::bigint AS removed_n, sum(removed_sum)::bigint AS removed_sum, sum(removed_sum2) AS removed_sum2
    FROM cells_by_lane
    GROUP BY experiment, epoch, day, segment, arm, asserted, metric, context;
