{% test broken_rules_are_explained(model) -%}
with rules as (

    select * from {{ model }}

),

broken as (
    {% for relation in assay.relations_read('checked_rows').values() %}
    select unnest(rule_ids) as rule_id, '{{ relation.identifier }}' as broken_in
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {%- else %}
    select null::varchar as rule_id, null::varchar as broken_in
    where false
    {%- endfor %}
),

broken_rules as (

    select
        rule_id,
        count(*) as rows_rejected,
        string_agg(distinct broken_in, ', ' order by broken_in) as broken_in
    from broken
    group by rule_id

),

explained_rules as (

    select
        rule_id,
        count(*) as times_listed,
        bool_and(coalesce(trim(reason), '') <> '' and coalesce(trim(remedy), '') <> '') as is_explained
    from rules
    group by rule_id

),

final as (

    select
        rule_id,
        broken_rules.rows_rejected,
        broken_rules.broken_in,
        coalesce(explained_rules.times_listed, 0) as times_listed,
        coalesce(explained_rules.is_explained, false) as is_explained
    from broken_rules
    full outer join explained_rules using (rule_id)
    where explained_rules.times_listed is distinct from 1 or not explained_rules.is_explained

)

select * from final
{%- endtest %}
