select * from {{ ref('closed_issues') }} where days_to_close < 0
