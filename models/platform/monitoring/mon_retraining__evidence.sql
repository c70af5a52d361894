with training_sets as (

    select * from {{ ref('mon_retraining__rows') }}

),

drift as (

    select * from {{ ref('mon_retraining__drift') }}

),

performance as (

    select * from {{ ref('mon_retraining__performance') }}

),

-- The warehouse's own clock, so that building again gives the same.
clock as (

    select max(known_until) as known_until
    from {{ ref('mon_freshness') }}

),

final as (

    select
        training_sets.*,
        null::varchar as version, -- noqa: RF04
        clock.known_until,
        epoch(clock.known_until - training_sets.trained_until) / 86400 as age_days,
        training_sets.new_rows / nullif(training_sets.trained_rows, 0) as new_rows_share,
        drift.* exclude (training_set), -- noqa: RF02
        drift.drifting_count / nullif(drift.feature_count, 0) as drifting_share,
        performance.* exclude (training_set) -- noqa: RF02
    from training_sets
    cross join clock
    left join drift on training_sets.training_set = drift.training_set
    left join performance on training_sets.training_set = performance.training_set

)

select * from final
