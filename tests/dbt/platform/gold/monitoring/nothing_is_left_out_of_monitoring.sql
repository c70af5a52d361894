-- It only warns: what the rest says stays right, and the detail of these rows says how to put them in.
{{ config(severity='warn') }}

select
    table_name,
    column_name,
    detail
from {{ ref('mon_quality') }}
where verdict = 'left out'
