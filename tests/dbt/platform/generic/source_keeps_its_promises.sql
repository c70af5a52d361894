{% test source_keeps_its_promises(model, completeness=none, forgiven=[], rows_a_day=none, latency=none, days=30) %}
-- The warehouse's own clock: building again gives the same.
with checked as (

    select
        *,
        max(available_at) over () as known_until
    from {{ model }}

),

recent as (

    select *
    from checked
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

final as (

    select
        null::varchar as promise,
        null::date as arrived_on,
        null::double as promised,
        null::double as observed
    where false
    {%- if completeness is not none %}
    union all
    select
        'completeness',
        null,
        {{ completeness }},
        avg((rule_ids is null or list_has_all({{ forgiven }}::varchar[], rule_ids))::int)
    from recent
    having avg((rule_ids is null or list_has_all({{ forgiven }}::varchar[], rule_ids))::int) < {{ completeness }}
    {%- endif %}
    {%- if latency is not none %}
    union all
    select
        'latency in seconds',
        null,
        {{ latency }},
        epoch(quantile_disc(available_at - event_at, 0.99))
    from recent
    having epoch(quantile_disc(available_at - event_at, 0.99)) > {{ latency }}
    {%- endif %}
    {%- if rows_a_day is not none and rows_a_day[0] is not none %}
    union all
    select
        'least rows a day',
        arrived_on,
        {{ rows_a_day[0] }},
        row_count
    from daily
    where row_count < {{ rows_a_day[0] }}
    {%- endif %}
    {%- if rows_a_day is not none and rows_a_day[1] is not none %}
    union all
    select
        'most rows a day',
        arrived_on,
        {{ rows_a_day[1] }},
        row_count
    from daily
    where row_count > {{ rows_a_day[1] }}
    {%- endif %}

)

select * from final
{% endtest %}
