{% macro arrival_freshness(tables, limits={}) -%}
    {%- do assay._refuse_variable(
        'fresh_for', 'with each source that it names, under config: freshness: {warn_after: {count: 4, period: day}}'
    ) -%}
with arrived as (
    {% for source, relation in tables.items() %}
    {%- set limit = limits.get(source) %}
    select
        {{ assay._text(source) }} as source_table,
        count(*) as row_count,
        count(*) filter (where rule_ids is not null) as rejected_count,
        max(event_at) as last_event_at,
        -- A row whose time cannot be read is available when its file lands, which may be long after other rows.
        coalesce(max(available_at) filter (where event_at is not null), max(available_at)) as last_available_at,
        max(available_at) as last_known_at,
        max(landed_at) as last_landed_at,
        quantile_disc(available_at - event_at, 0.5) as lateness_p50,
        quantile_disc(available_at - event_at, 0.99) as lateness_p99,
        max(available_at - event_at) as lateness_max,
        {{ assay._window_lengths([limit])[limit] if limit else 'null::interval' }} as fresh_for
    from (
        select rule_ids, {% for at in ('event_at', 'available_at', 'landed_at') -%}
            {{ assay.as_utc(at) }} as {{ at }}{{ ', ' if not loop.last }}
        {%- endfor %}
        from {{ relation }}
    ) as received
    where {{ assay.known_as_of() }}
    {{- '\n\n    union all\n' if not loop.last }}
    {% endfor %}
),

-- The warehouse's own clock, so that building again gives the same.
final as (

    select
        source_table,
        row_count,
        rejected_count,
        last_event_at,
        last_available_at,
        last_landed_at,
        max(last_known_at) over () as known_until,
        epoch(max(last_known_at) over () - last_available_at) as age_seconds,
        epoch(fresh_for) as limit_seconds,
        epoch(lateness_p50) as lateness_p50_seconds,
        epoch(lateness_p99) as lateness_p99_seconds,
        epoch(lateness_max) as lateness_max_seconds,
        case
            when row_count = 0 then 'empty'
            when fresh_for is null then 'no limit'
            when last_available_at + fresh_for < max(last_known_at) over () then 'stale'
            else 'fresh'
        end as verdict
    from arrived

)

select * from final
{%- endmacro %}
