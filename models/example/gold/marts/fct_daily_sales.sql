with order_lines as (

    select * from {{ ref('fct_order_lines') }}

),

final as (

    select
        ordered_date as sales_date,
        -- An order line need not say where it went.
        coalesce(country, 'Unknown') as country,
        count(distinct order_id) filter (where line_type = 'sale') as order_count,
        count(distinct customer_id) filter (where line_type = 'sale') as customer_count,
        coalesce(sum(quantity) filter (where line_type = 'sale'), 0)::bigint as units_sold,
        coalesce(sum(line_amount) filter (where line_type = 'sale'), 0) as gross_sales_amount,
        coalesce(-sum(line_amount) filter (where line_type = 'cancellation'), 0) as cancelled_amount,
        coalesce(sum(line_amount) filter (where line_type in ('sale', 'cancellation')), 0) as net_sales_amount
    from order_lines
    group by all

)

select * from final
