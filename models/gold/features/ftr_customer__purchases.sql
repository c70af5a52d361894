with order_lines as (

    select * from {{ ref('fct_order_lines') }}

),

products as (

    select * from {{ ref('dim_products') }}

),

-- A line counts with the category that its product was known to have when the line became known.
purchases as (

    select
        order_lines.*,
        case when order_lines.available_at < products.valid_to then products.category end as category
    from order_lines
    asof left join products
        on order_lines.product_id = products.product_id and order_lines.available_at >= products.valid_from
    where order_lines.line_type = 'sale'

),

history as (

    {{ windowed_history(
        'purchases',
        entity_keys=['customer_id'],
        event_at='ordered_at',
        available_at='available_at',
        measures={
            'purchase': ['count'],
            'order': {'expression': 'order_id', 'aggregates': ['distinct_count']},
            'amount': {'expression': 'line_amount', 'aggregates': ['sum', 'avg']},
            'purchased_at': {'expression': 'ordered_at', 'aggregates': ['first', 'last'], 'windows': ['all']},
            'category': {'aggregates': ['mode'], 'windows': ['90d', 'all']},
        },
        windows=['7d', '30d', '90d', 'all']
    ) }}

),

final as (

    select * from history

)

select * from final
