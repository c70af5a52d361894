{% test source_keeps_its_promises(model, completeness=none, forgiven=[], rows_a_day=none, latency=none, days=30) %}
{%- set least, most = rows_a_day or [none, none] %}
with checked as (

    select
        *,
        -- The warehouse's own clock: building again gives the same.
        max(available_at) over () as known_until
    from {{ model }}

),

recent as (

    select * from checked
    where available_at > known_until - interval '{{ days }} days'

),

daily as (

    select
        available_at::date as arrived_on,
        count(*) as row_count
    from recent
    -- The last day may not be over.
    where available_at::date < known_until::date
    group by all

),

-- What is not promised is NULL, which nothing falls short of.
observed as (

    select
        'completeness' as promise,
        null::date as arrived_on,
        {{ assay._limit(completeness) }} as promised,
        avg((rule_ids is null or list_has_all({{ forgiven }}::varchar[], rule_ids))::int)::double as observed,
        true as is_least
    from recent
    union all
    select
        'latency in seconds',
        null,
        {{ assay._limit(latency) }},
        epoch(quantile_disc(available_at - event_at, 0.99)),
        false
    from recent
    union all
    select 'least rows a day', arrived_on, {{ assay._limit(least) }}, row_count, true from daily
    union all
    select 'most rows a day', arrived_on, {{ assay._limit(most) }}, row_count, false from daily

)

select * exclude (is_least)
from observed
where if(is_least, observed < promised, observed > promised)
{% endtest %}
