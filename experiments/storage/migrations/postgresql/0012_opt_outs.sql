-- Who objects to being counted and tailored for, by the stand-in of their id. Whoever took that back keeps a row, so that
-- every server hears of it: each change has a version of its own.
CREATE TABLE opt_outs (
    visitor BYTEA PRIMARY KEY,
    is_out SMALLINT NOT NULL,
    version BIGINT NOT NULL,
    at_ms BIGINT NOT NULL
);

CREATE INDEX opt_outs_version ON opt_outs (version);

CREATE TRIGGER opt_outs_are_announced AFTER INSERT OR UPDATE ON meta
FOR EACH ROW WHEN (NEW.name = 'opt_outs_version') EXECUTE FUNCTION announce_configuration();
