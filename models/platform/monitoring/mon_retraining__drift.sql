with drift as (

    select * from {{ ref('mon_feature_drift') }}

),

final as (

    select
        reference as training_set,
        "window" as drift_window,
        count(*) as feature_count,
        count(*) filter (where verdict = 'drift') as drifting_count,
        list(view || '.' || feature order by psi desc nulls last, view asc, feature asc)
        filter (where verdict = 'drift') as drifting_features
    from drift
    where reference != 'rolling' and verdict in ('stable', 'watch', 'volume', 'drift')
    group by reference, "window", window_to
    qualify row_number() over (partition by reference order by window_to desc) = 1

)

select * from final
