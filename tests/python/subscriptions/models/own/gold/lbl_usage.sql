with sessions as (

    select * from {{ ref('fct_sessions') }}

),

days as (

    select distinct
        account_id,
        date_trunc('week', began_at) + interval '7 days' as prediction_at
    from sessions

),

final as (

    select
        days.account_id,
        days.prediction_at,
        sum(sessions.minutes)::double as outcome,
        days.prediction_at + interval '8 days' as outcome_known_at
    from days
    left join sessions
        on
            days.account_id = sessions.account_id
            and days.prediction_at < sessions.began_at
            and days.prediction_at + interval '7 days' > sessions.began_at
    group by days.account_id, days.prediction_at

)

select * from final
