-- What receivers of hooks counted since their spool was made; the drain brings it over together with events, and once a
-- minute if only refusals came. receiver: host and spool.
CREATE TABLE hook_deliveries (
    receiver               VARCHAR     PRIMARY KEY,
    accepted               BIGINT      NOT NULL,
    ignored                BIGINT      NOT NULL,
    refused_secret         BIGINT      NOT NULL,
    refused_age            BIGINT      NOT NULL,
    last_accepted_at       TIMESTAMPTZ,
    last_refused_secret_at TIMESTAMPTZ,
    last_refused_age_at    TIMESTAMPTZ,
    told_at                TIMESTAMPTZ NOT NULL
);
