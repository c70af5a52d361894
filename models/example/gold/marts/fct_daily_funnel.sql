with events as (

    select * from {{ ref('slv_web_events') }}

),

final as (

    select
        event_at::date as web_date,
        count(distinct coalesce(customer_id, anonymous_id)) as visitor_count,
        count(*) filter (where event_type = 'search') as search_count,
        count(*) filter (where event_type = 'view') as view_count,
        count(*) filter (where event_type = 'cart_addition') as cart_addition_count,
        count(*) filter (where event_type = 'checkout') as checkout_count,
        count(*) filter (where event_type = 'order') as order_count
    from events
    group by all

)

select * from final
