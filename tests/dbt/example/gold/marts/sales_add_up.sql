-- The same money in order lines, orders and days, whichever of them an analyst asks.
with order_lines as (

    select
        coalesce(sum(line_amount), 0) as total_amount,
        coalesce(sum(line_amount) filter (where line_type in ('sale', 'cancellation')), 0) as sales_amount,
        count(*) as line_count,
        count(distinct order_id) as order_count
    from {{ ref('fct_order_lines') }}

),

orders as (

    select
        coalesce(sum(order_amount), 0) as total_amount,
        coalesce(sum(line_count), 0) as line_count,
        count(*) as order_count
    from {{ ref('fct_orders') }}

),

days as (

    select coalesce(sum(net_sales_amount), 0) as sales_amount from {{ ref('fct_daily_sales') }}

),

final as (

    select
        order_lines.*,
        orders.*,
        days.*
    from order_lines
    cross join orders
    cross join days
    where
        order_lines.total_amount != orders.total_amount
        or order_lines.line_count != orders.line_count
        or order_lines.order_count != orders.order_count
        or order_lines.sales_amount != days.sales_amount

)

select * from final
