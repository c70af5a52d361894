with order_lines as (

    select * from {{ ref('fct_order_lines') }}

),

orders as (

    select
        order_id,
        -- Lines of one order may disagree: the first line that says anything is believed.
        arg_min(customer_id, (ordered_at, available_at, order_line_id)) as customer_id,
        arg_min(country, (ordered_at, available_at, order_line_id)) as country,
        bool_or(line_type = 'sale') as has_sale,
        bool_or(line_type = 'cancellation') as has_cancellation,
        bool_or(line_type = 'adjustment') as has_adjustment,
        min(ordered_at) as ordered_at,
        max(available_at) as available_at,
        count(*) as line_count,
        count(distinct product_id) as product_count,
        sum(quantity)::bigint as unit_count,
        sum(line_amount) as order_amount
    from order_lines
    group by order_id

),

final as (

    select
        order_id,
        customer_id,
        country,
        case
            when has_cancellation then 'cancellation'
            when has_adjustment then 'adjustment'
            when has_sale then 'sale'
            else 'write_off'
        end as order_type,
        line_count,
        product_count,
        unit_count,
        order_amount,
        ordered_at,
        ordered_at::date as ordered_date,
        available_at
    from orders

)

select * from final
