with days as (

    select * from {{ ref('mon_volume__days') }}

),

rules as (

    select * from {{ ref('mon_rules') }}
    where rule_id = 'missing_days'

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
        table_name,
        event_on,
        row_count,
        expected_rows,
        robust_z,
        case
            when coalesce(len(counts_before), 0) < fewest_before then 'too early'
            when robust_z < -deviations and row_count = 0 then 'missing'
            when robust_z < -deviations then 'low'
            when robust_z > deviations then 'high'
            else 'usual'
        end as verdict
    from scored

)

select * from final
