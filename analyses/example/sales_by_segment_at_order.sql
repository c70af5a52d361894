-- Which segments do sales come from: by the segment a customer was in when ordering, and by today's?
-- Only the former stays as it is once reported: customers who move up take their old orders with them in the latter,
-- which makes the segment they moved to look as if it had always sold that much. `unknown` are orders without a
-- customer number, and those of customers who were not in the customer database then, or are not today.
with orders as (

    select * from {{ ref('fct_orders') }}

),

customers as (

    select * from {{ ref('dim_customers') }}

),

-- The point-in-time join: of each customer the one state that held at the moment of the order.
segmented_orders as (

    select
        date_trunc('month', orders.ordered_date)::date as order_month,
        orders.order_amount,
        coalesce(customers_then.segment, 'unknown') as segment_then,
        coalesce(customers_now.segment, 'unknown') as segment_now
    from orders
    left join customers as customers_then
        on
            orders.customer_id = customers_then.customer_id
            and orders.ordered_at >= customers_then.valid_from
            and orders.ordered_at < customers_then.valid_to
    left join customers as customers_now
        on orders.customer_id = customers_now.customer_id and customers_now.is_current
    where orders.order_type in ('sale', 'cancellation')

),

sales_then as (

    select
        order_month,
        segment_then as segment,
        sum(order_amount) as net_sales_amount
    from segmented_orders
    group by all

),

sales_now as (

    select
        order_month,
        segment_now as segment,
        sum(order_amount) as net_sales_amount
    from segmented_orders
    group by all

),

final as (

    select
        order_month,
        segment,
        coalesce(sales_then.net_sales_amount, 0) as net_sales_amount_by_segment_then,
        coalesce(sales_now.net_sales_amount, 0) as net_sales_amount_by_segment_now
    from sales_then
    full outer join sales_now using (order_month, segment)

)

select * from final
order by order_month, segment
