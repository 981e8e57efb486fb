-- For each label of a project: how long issues keep it, and how many have it now.
select
    project,
    label_name,
    count(distinct noteable_iid) as issues,
    count(distinct noteable_iid) filter (where to_at is null) as issues_now,
    median(date_diff('second', from_at, to_at)) / 86400.0 as median_days
from {{ source('gitlab', 'label_spans') }}
where noteable_type = 'Issue'
group by all
