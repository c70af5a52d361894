{#- Long because each step is of the one before: vectors as they were met, number by number, summed up to each instant, and put together again. -#}
{% macro mean_vectors(events, vectors, entity_keys, item_key, available_at) -%}
    {%- set keys, item = assay.quoted(entity_keys), assay.quoted(item_key) -%}
with events as (

    select
        {{ keys }},
        {{ item }},
        {{ assay.as_utc(available_at) }} as _at
    from {{ events }}
    where {% for key in entity_keys %}{{ assay.quoted(key) }} is not null{{ ' and ' if not loop.last }}{% endfor %}

),

vectors as (

    select
        {{ item }},
        vector::float[] as vector,
        valid_from,
        valid_to
    from {{ vectors }}

),

-- As each thing was described when the event became known: what is written later changes no profile.
met as (

    select
        events.*,
        vectors.vector
    from events
    asof inner join vectors on events.{{ item }} = vectors.{{ item }} and events._at >= vectors.valid_from
    where events._at < vectors.valid_to and vectors.vector is not null

),

-- Whole numbers have the same sum in whatever order they come.
numbers as (

    select
        {{ keys }},
        _at,
        generate_subscripts(vector, 1) as _place,
        round(unnest(vector)::double * 1073741824)::bigint as _value
    from met

),

added as (

    select
        {{ keys }},
        _at,
        _place,
        sum(_value) as _value,
        count(*) as _events
    from numbers
    group by all

),

running as (

    select
        {{ keys }},
        _at,
        _place,
        sum(_value) over until_then as _value,
        sum(_events) over until_then as _events
    from added
    window until_then as (partition by {{ keys }}, _place order by _at)

),

final as (

    select
        {{ keys }},
        _at as available_at,
        list((_value / 1073741824.0 / _events)::float order by _place) as vector,
        any_value(_events)::bigint as events
    from running
    group by all

)

select * from final
{%- endmacro %}
