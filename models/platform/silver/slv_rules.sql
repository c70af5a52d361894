{{ config(materialized='table') }}

with declared as (

    select *
    from (
        values
        {%- for rule in declared_rules(model) %}
        ({{ _constant(rule.rule_id) }}, {{ _constant(rule.reason) }}, {{ _constant(rule.remedy) }}){{ ',' if not loop.last }}
        {%- endfor %}
    ) as rules (rule_id, reason, remedy)

),

-- Contracts may share a rule. One that they explain in two ways is here twice, which a test tells.
final as (

    select distinct * from declared

)

select * from final
order by rule_id
