-- The schema stays, with what others were granted in it.
CREATE SCHEMA IF NOT EXISTS gitlab;

COMMENT ON SCHEMA gitlab IS 'Typed views of the ledger in the schema main, made by surgical-pipeline';

DO $body$
DECLARE
    one NAME;
BEGIN
    FOR one IN SELECT relname FROM pg_class WHERE relnamespace = 'gitlab'::REGNAMESPACE AND relkind = 'v' LOOP
        EXECUTE format('DROP VIEW IF EXISTS gitlab.%I CASCADE', one);
    END LOOP;
END
$body$;

-- What a text of a payload says, as another type; NULL if it says nothing of that type. The planner puts these
-- expressions into the query, so no function is called. No exception is caught: that would forbid parallel plans. Of
-- digits there are ten: \d also means those of other scripts, which cannot be cast.

CREATE OR REPLACE FUNCTION gitlab.integer_of(written TEXT) RETURNS BIGINT LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN written COLLATE "C" ~ '^-?[0-9]{1,18}$' THEN written::BIGINT
    WHEN written COLLATE "C" ~ '^ *[-+]?[0-9]{1,18}([.][0-9]*)? *$' THEN round(written::DOUBLE PRECISION)::BIGINT
END;

CREATE OR REPLACE FUNCTION gitlab.boolean_of(written TEXT) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN lower(written) IN ('true', 'false', 't', 'f', 'yes', 'no', 'y', 'n', '1', '0') THEN written::BOOLEAN
END;

-- The date that a text begins with. Only from the 29th on it matters which month it is.
CREATE OR REPLACE FUNCTION gitlab.leading_day(written TEXT) RETURNS DATE LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN written COLLATE "C" !~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])' OR left(written, 4) = '0000' THEN NULL
    WHEN substr(written, 9, 2) <= '28' THEN left(written, 10)::DATE
    WHEN substr(written, 9, 2)
        <= to_char((left(written, 8) || '01')::DATE + INTERVAL '1 month' - INTERVAL '1 day', 'DD')
        THEN left(written, 10)::DATE
END;

-- Without a zone it is in UTC.
CREATE OR REPLACE FUNCTION gitlab.time_of(written TEXT) RETURNS TIMESTAMPTZ LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN substr(written, 11) COLLATE "C"
        ~ '^[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?(Z| ?UTC|[-+](0[0-9]|1[0-5])(:?[0-5][0-9])?)$'
        THEN CASE WHEN gitlab.leading_day(written) IS NOT NULL THEN written::TIMESTAMPTZ END
    WHEN substr(written, 11) COLLATE "C" ~ '^([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?)?$'
        THEN CASE WHEN gitlab.leading_day(written) IS NOT NULL THEN written::TIMESTAMP AT TIME ZONE 'UTC' END
END;

CREATE OR REPLACE FUNCTION gitlab.day_of(written TEXT) RETURNS DATE LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN length(written) = 10 OR gitlab.time_of(written) IS NOT NULL THEN gitlab.leading_day(written)
END;
