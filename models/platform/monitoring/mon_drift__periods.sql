with states as (

    select * from {{ ref('mon_drift__states') }}

),

final as (

    select
        view_number,
        period,
        any_value(arrivals) as arrivals,
        count(*) as looked_at,
        count(distinct entity) as entities
    from states
    group by view_number, period

)

select * from final
