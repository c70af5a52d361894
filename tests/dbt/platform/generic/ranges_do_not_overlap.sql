{% test ranges_do_not_overlap(model, entity_keys, valid_from='valid_from', valid_to='valid_to') %}
{%- set keys = assay.quoted(entity_keys) -%}
with history as (

    select
        {{ keys }},
        {{ assay.as_utc(valid_from) }} as valid_from,
        {{ assay.as_utc(valid_to) }} as valid_to
    from {{ model }}

),

followed as (

    select
        *,
        lead(valid_from) over (partition by {{ keys }} order by valid_from, valid_to) as next_valid_from
    from history

),

final as (

    select
        *,
        case
            when valid_from is null or valid_to is null then 'a bound is absent'
            when valid_from >= valid_to then 'the range is empty'
            else 'the next range begins before this one ends'
        end as fault
    from followed
    where
        valid_from is null
        or valid_to is null
        or valid_from >= valid_to
        or valid_to > next_valid_from

)

select * from final
{% endtest %}
