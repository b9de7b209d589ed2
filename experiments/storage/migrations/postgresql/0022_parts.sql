-- A partition is a span of stand-ins, which every table of visitors has in order anyway: nothing is computed of each row.
DROP FUNCTION partition_of;

-- Whether the rows of a partition are in this shard: of one that was moved, they are until they have been removed.
ALTER TABLE fences ADD COLUMN is_here BOOLEAN NOT NULL DEFAULT TRUE;
