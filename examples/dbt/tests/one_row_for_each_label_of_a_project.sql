select project, label_name from {{ ref('days_in_label') }} group by all having count(*) > 1
