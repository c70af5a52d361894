-- Which twenty customers bring in most, and how much of what they buy do they send back?
-- Net sales are sales less cancellations. A return rate of 0.2 says that a fifth of the money was cancelled again: a
-- customer high in the list with a high rate costs handling that the amount does not show. Orders without a customer
-- number are left out.
with orders as (

    select * from {{ ref('fct_orders') }}

),

customers as (

    select
        customer_id,
        count(*) filter (where order_type = 'sale') as order_count,
        coalesce(sum(order_amount) filter (where order_type = 'sale'), 0) as gross_sales_amount,
        coalesce(-sum(order_amount) filter (where order_type = 'cancellation'), 0) as cancelled_amount,
        min(ordered_date) filter (where order_type = 'sale') as first_order_date,
        max(ordered_date) filter (where order_type = 'sale') as last_order_date
    from orders
    where customer_id is not null and order_type in ('sale', 'cancellation')
    group by customer_id

),

final as (

    select
        customer_id,
        order_count,
        gross_sales_amount,
        cancelled_amount,
        gross_sales_amount - cancelled_amount as net_sales_amount,
        round(cancelled_amount / nullif(gross_sales_amount, 0), 4) as return_rate,
        first_order_date,
        last_order_date
    from customers
    qualify row_number() over (order by net_sales_amount desc, customer_id asc) <= 20

)

select * from final
order by net_sales_amount desc, customer_id asc
