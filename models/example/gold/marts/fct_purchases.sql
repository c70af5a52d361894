with order_lines as (

    select * from {{ ref('fct_order_lines') }}

),

products as (

    select * from {{ ref('dim_products') }}

),

-- A line counts with the category that its product was known to have when the line became known.
final as (

    select
        order_lines.order_line_id,
        order_lines.order_id,
        order_lines.customer_id,
        order_lines.product_id,
        case when order_lines.available_at < products.valid_to then products.category end as category,
        order_lines.quantity,
        order_lines.unit_price,
        order_lines.line_amount,
        order_lines.ordered_at,
        order_lines.available_at
    from order_lines
    asof left join products
        on order_lines.product_id = products.product_id and order_lines.available_at >= products.valid_from
    where order_lines.line_type = 'sale'

)

select * from final
