-- Indexes that PostgreSQL needs and DuckDB, which reads columns, does not. They hold no data of their own, and are made
-- after each migration where they are missing.

CREATE INDEX IF NOT EXISTS idx_sync_runs_number ON sync_runs (number);
CREATE INDEX IF NOT EXISTS idx_sync_runs_untold ON sync_runs (finished_at)
    WHERE COALESCE(dagster_status, '') NOT IN ('SUCCESS', 'FAILURE', 'CANCELED');
CREATE INDEX IF NOT EXISTS idx_sync_runs_parent ON sync_runs (parent_run_id);
CREATE INDEX IF NOT EXISTS idx_entity_outcomes_entity ON entity_outcomes (entity_type, iid);
CREATE INDEX IF NOT EXISTS idx_gitlab_events_seq ON gitlab_events (seq);
CREATE INDEX IF NOT EXISTS idx_gitlab_events_pending ON gitlab_events (project_id, entity_type, iid) WHERE state = 'pending';

-- The rows of an entity.
CREATE INDEX IF NOT EXISTS idx_notes_entity ON notes (project_id, noteable_type, noteable_iid);
CREATE INDEX IF NOT EXISTS idx_resource_events_entity ON resource_events (project_id, noteable_type, noteable_iid);
CREATE INDEX IF NOT EXISTS idx_documents_entity ON documents (project_id, entity_type, iid);
CREATE INDEX IF NOT EXISTS idx_embeddings_text ON embeddings (model, content_hash);

-- What is counted at the end of stages is counted here, and no row is read.
CREATE INDEX IF NOT EXISTS idx_entities_live ON entities (entity_type) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS idx_documents_live ON documents (kind) WHERE deleted_at IS NULL;

-- The rows that a run wrote: each run ends with a look at its own.
CREATE INDEX IF NOT EXISTS idx_projects_run ON projects (run_id);
CREATE INDEX IF NOT EXISTS idx_entities_run ON entities (run_id);
CREATE INDEX IF NOT EXISTS idx_dependent_fetches_run ON dependent_fetches (run_id);
CREATE INDEX IF NOT EXISTS idx_discussions_run ON discussions (run_id);
CREATE INDEX IF NOT EXISTS idx_notes_run ON notes (run_id);
CREATE INDEX IF NOT EXISTS idx_resource_events_run ON resource_events (run_id);
CREATE INDEX IF NOT EXISTS idx_linked_records_run ON linked_records (run_id);
CREATE INDEX IF NOT EXISTS idx_documents_run ON documents (run_id);
CREATE INDEX IF NOT EXISTS idx_embeddings_run ON embeddings (run_id);
