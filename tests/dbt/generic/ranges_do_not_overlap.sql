{% test ranges_do_not_overlap(model, entity_keys, valid_from='valid_from', valid_to='valid_to') %}
{%- set keys = entity_keys | join(', ') -%}
with history as (

    select
        {{ keys }},
        {{ valid_from }},
        {{ valid_to }},
        lead({{ valid_from }}) over (
            partition by {{ keys }} order by {{ valid_from }}, {{ valid_to }}
        ) as next_valid_from
    from {{ model }}

),

final as (

    select
        *,
        case
            when {{ valid_from }} is null or {{ valid_to }} is null then 'a bound is absent'
            when {{ valid_from }} >= {{ valid_to }} then 'the range is empty'
            else 'the next range begins before this one ends'
        end as fault
    from history
    where
        {{ valid_from }} is null
        or {{ valid_to }} is null
        or {{ valid_from }} >= {{ valid_to }}
        or {{ valid_to }} > next_valid_from

)

select * from final
{% endtest %}
