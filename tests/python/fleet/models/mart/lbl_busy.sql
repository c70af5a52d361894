with trips as (select * from {{ ref('fct_trips') }}),

days as (

    select distinct van_id, date_trunc('week', known_at) + interval '7 days' as prediction_at from trips

)

select
    days.van_id || '@' || days.prediction_at::date as busy_id,
    days.van_id,
    days.prediction_at,
    count(trips.trip_id) > 2 as outcome,
    days.prediction_at + interval '8 days' as outcome_known_at
from days
left join trips
    on
        days.van_id = trips.van_id
        and days.prediction_at <= trips.ended_at
        and days.prediction_at + interval '7 days' > trips.ended_at
        and days.prediction_at + interval '8 days' >= trips.known_at
where days.prediction_at + interval '8 days' <= (select max(known_at) from trips)
group by all
