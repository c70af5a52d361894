with days as (

    select * from {{ ref('mon_volume__days') }}

),

rules as (

    select * from {{ ref('mon_rules') }}
    where rule_id = 'missing_days'

),

-- The warehouse's own clock: of a day that is not over by it, rows are still to come.
clock as (

    select max(known_until) as known_until
    from {{ ref('mon_freshness') }}

),

-- The same weekday of the weeks before: what comes later must not judge what came earlier.
remembered as (

    select
        days.*,
        rules.periods_before as weeks_before,
        rules.fewest_before,
        rules.deviations,
        list(days.row_count) over (
            partition by days.table_name, dayofweek(days.event_on)
            order by days.event_on
            rows between rules.periods_before preceding and 1 preceding
        ) as counts_before
    from days
    cross join rules

),

expected as (

    select
        *,
        list_aggregate(counts_before, 'median') as expected_rows
    from remembered

),

missed as (

    select
        *,
        list(abs(row_count - expected_rows)) over (
            partition by table_name
            order by event_on
            rows between 7 * weeks_before preceding and 1 preceding
        ) as misses_before
    from expected

),

scored as (

    select
        *,
        -- Where days are alike, or rows are few, counts vary by the root of their number anyway.
        (row_count - expected_rows) / greatest(
            {{ assay._deviation_of("list_aggregate(misses_before, 'median')") }}, sqrt(expected_rows), 1
        ) as robust_z
    from missed

),

final as (

    select
        scored.table_name,
        scored.event_on,
        scored.row_count,
        scored.expected_rows,
        scored.robust_z,
        case
            when coalesce(len(scored.counts_before), 0) < scored.fewest_before then 'too early'
            when scored.event_on >= clock.known_until::date then 'too early'
            when scored.robust_z < -scored.deviations and scored.row_count = 0 then 'missing'
            when scored.robust_z < -scored.deviations then 'low'
            when scored.robust_z > scored.deviations then 'high'
            else 'usual'
        end as verdict
    from scored
    cross join clock

)

select * from final
