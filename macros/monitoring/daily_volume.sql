{#- Long because it is one query, read from top to bottom. -#}
{% macro daily_volume(tables, weeks=8, limit=5) -%}
with counted as (
    {% for name, relation in tables.items() %}
    select
        {{ assay._text(name) }} as table_name,
        ({{ assay.as_utc('event_at') }})::date as event_on,
        count(*) as row_count
    from {{ relation }}
    group by all
    {{- '\n\n    union all\n' if not loop.last }}
    {% endfor %}
),

days as (

    select
        table_name,
        unnest(generate_series(min(event_on), max(event_on), interval '1 day'))::date as event_on
    from counted
    group by table_name

),

filled as (

    select
        days.table_name,
        days.event_on,
        coalesce(counted.row_count, 0) as row_count
    from days
    left join counted on days.table_name = counted.table_name and days.event_on = counted.event_on

),

-- The same weekday of the weeks before: what comes later must not judge what came earlier.
remembered as (

    select
        *,
        list(row_count) over (
            partition by table_name, dayofweek(event_on)
            order by event_on
            rows between {{ weeks }} preceding and 1 preceding
        ) as before
    from filled

),

centred as (

    select
        * exclude (before),
        coalesce(len(before), 0) as weeks_before,
        list_aggregate(before, 'median') as expected_rows
    from remembered

),

missed as (

    select
        *,
        list(abs(row_count - expected_rows)) over (
            partition by table_name
            order by event_on
            rows between {{ 7 * weeks }} preceding and 1 preceding
        ) as misses
    from centred

),

scored as (

    select
        * exclude (misses),
        -- Where days are alike, or rows are few, counts vary by the root of their number anyway.
        greatest(1.4826 * list_aggregate(misses, 'median'), sqrt(expected_rows), 1) as usual_deviation
    from missed

),

final as (

    select
        table_name,
        event_on,
        row_count,
        expected_rows,
        (row_count - expected_rows) / usual_deviation as robust_z,
        case
            when weeks_before < {{ weeks }} // 2 then 'too early'
            when robust_z < -{{ limit }} and row_count = 0 then 'missing'
            when robust_z < -{{ limit }} then 'low'
            when robust_z > {{ limit }} then 'high'
            else 'usual'
        end as verdict
    from scored

)

select * from final
{%- endmacro %}
