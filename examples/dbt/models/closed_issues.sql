-- Each closed issue, how long it took, and how much people said about it.
with talk as (
    select
        project_id,
        noteable_iid as iid,
        count(*) as notes,
        min(created_at) as first_note_at
    from {{ source('gitlab', 'notes') }}
    where noteable_type = 'Issue' and not system
    group by all
)

select
    issues.id,
    issues.project,
    issues.iid,
    issues.title,
    issues.web_url,
    issues.created_at,
    issues.closed_at,
    date_diff('second', issues.created_at, issues.closed_at) / 86400.0 as days_to_close,
    date_diff('second', issues.created_at, talk.first_note_at) / 3600.0 as hours_to_first_note,
    coalesce(talk.notes, 0) as notes
from {{ source('gitlab', 'issues') }} as issues
left join talk using (project_id, iid)
where issues.state = 'closed' and issues.closed_at is not null
