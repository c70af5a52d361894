-- Which products are bought together more often than chance would have it?
-- A lift of 3 says that the two meet in three times as many orders as if nobody cared about the other; 1 is chance.
-- The share of the first one's orders with both is what a recommendation of the second would hit, and the other way
-- round. Pairs seen in a single order, or in less than a thousandth of all, are left out: their lift is an accident.
with order_lines as (

    select * from {{ ref('fct_order_lines') }}

),

baskets as (

    select distinct
        order_id,
        product_id
    from order_lines
    where line_type = 'sale'

),

orders as (

    select
        count(distinct order_id) as order_count,
        greatest(2, count(distinct order_id) / 1000) as fewest_orders
    from baskets

),

-- Pairs grow with the square of an order's lines: what is too rare to count is left out before.
products as (

    select
        baskets.product_id,
        count(*) as order_count
    from baskets
    cross join orders
    group by baskets.product_id, orders.fewest_orders
    having count(*) >= orders.fewest_orders

),

common_baskets as (

    select baskets.*
    from baskets
    semi join products using (product_id)

),

pairs as (

    select
        first_items.product_id as first_product_id,
        second_items.product_id as second_product_id,
        count(*) as pair_order_count
    from common_baskets as first_items
    inner join common_baskets as second_items
        on first_items.order_id = second_items.order_id and first_items.product_id < second_items.product_id
    group by all

),

final as (

    select
        pairs.first_product_id,
        pairs.second_product_id,
        pairs.pair_order_count,
        round(pairs.pair_order_count / first_products.order_count, 4) as share_of_first_orders,
        round(pairs.pair_order_count / second_products.order_count, 4) as share_of_second_orders,
        round(
            pairs.pair_order_count * orders.order_count / (first_products.order_count * second_products.order_count), 2
        ) as lift
    from pairs
    cross join orders
    inner join products as first_products on pairs.first_product_id = first_products.product_id
    inner join products as second_products on pairs.second_product_id = second_products.product_id
    where pairs.pair_order_count >= orders.fewest_orders

)

select * from final
order by lift desc, pair_order_count desc, first_product_id asc, second_product_id asc
