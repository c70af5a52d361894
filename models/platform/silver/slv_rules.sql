{{ config(materialized='table') }}

with declared as (

    {{ declared_rules(model) }}

),

-- Contracts may share a rule. One that they explain in two ways is here twice, which a test tells.
final as (

    select distinct * from declared

)

select * from final
order by rule_id
