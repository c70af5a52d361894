{% macro rejected_rows(checked, bronze, rules) -%}
with checked as (

    select * from {{ checked }}

),

landed as (

    select * from {{ bronze }}

),

rules as (

    select * from {{ rules }}

),

rejected as (

    select * from checked where rule_ids is not null

),

reasons as (

    select
        broken.rule_ids,
        string_agg(rules.reason || '; ' || rules.remedy, ' | ' order by rules.rule_id) as reason
    from (select distinct rule_ids from rejected) as broken
    inner join rules on list_contains(broken.rule_ids, rules.rule_id)
    group by all

),

final as (

    select
        rejected.rule_ids,
        reasons.reason,
        rejected.available_at,
        landed.* exclude (file_id)
    from rejected
    inner join landed on rejected.file_id = landed.file_id and rejected.row_number = landed.row_number
    left join reasons on rejected.rule_ids = reasons.rule_ids

)

select * from final
{%- endmacro %}
