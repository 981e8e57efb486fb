-- One row for each merge request whose approvals were fetched; record_id is always 'approvals'.
CREATE TABLE merge_request_approvals (
    project_id BIGINT      NOT NULL,
    iid        BIGINT      NOT NULL,
    record_id  VARCHAR     NOT NULL,
    position   INTEGER     NOT NULL,
    run_id     VARCHAR     NOT NULL,
    fetched_at TIMESTAMPTZ NOT NULL,
    payload    JSON        NOT NULL,
    PRIMARY KEY (project_id, iid, record_id)
);

-- Emoji on issues and merge requests themselves, not on their notes; record_id is GitLab's id of the award.
CREATE TABLE award_emoji (
    project_id    BIGINT      NOT NULL,
    noteable_type VARCHAR     NOT NULL CHECK (noteable_type IN ('issue', 'merge_request')),
    noteable_iid  BIGINT      NOT NULL,
    record_id     VARCHAR     NOT NULL,
    position      INTEGER     NOT NULL,
    run_id        VARCHAR     NOT NULL,
    fetched_at    TIMESTAMPTZ NOT NULL,
    payload       JSON        NOT NULL,
    PRIMARY KEY (project_id, noteable_type, noteable_iid, record_id)
);
