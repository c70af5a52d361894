with web_events as (

    select * from {{ ref('slv_web_events') }}

),

purchases as (

    select * from {{ ref('fct_purchases') }}

),

visits as (

    select
        event_type as activity_type,
        message_id as activity_id,
        product_id,
        customer_id,
        quantity,
        price as unit_price,
        event_at as happened_at,
        available_at
    from web_events
    where event_type in ('view', 'cart_addition') and product_id is not null

),

sales as (

    select
        'sale' as activity_type,
        order_line_id as activity_id,
        product_id,
        customer_id,
        quantity,
        unit_price,
        ordered_at as happened_at,
        available_at
    from purchases

),

final as (

    select * from visits
    union all
    select * from sales

)

select * from final
