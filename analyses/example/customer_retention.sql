-- Of the customers who first ordered in a month, how many order again in the months after?
-- Read a cohort from `months_since_first_order` 0, where the rate is 1, downwards; compare cohorts at the same number
-- of months. The first cohorts hold old customers too, whose earlier orders are not in the data, and a month without
-- any order of the cohort has no row. Orders count even where they were cancelled later.
with orders as (

    select * from {{ ref('fct_orders') }}

),

active_months as (

    select distinct
        customer_id,
        date_trunc('month', ordered_date)::date as order_month
    from orders
    where customer_id is not null and order_type = 'sale'

),

cohort_months as (

    select
        *,
        min(order_month) over (partition by customer_id) as cohort_month
    from active_months

),

cohorts as (

    select
        cohort_month,
        date_diff('month', cohort_month, order_month) as months_since_first_order,
        count(*) as customer_count
    from cohort_months
    group by all

),

final as (

    select
        *,
        round(
            customer_count / first_value(customer_count) over (
                partition by cohort_month order by months_since_first_order
            ),
            4
        ) as retention_rate
    from cohorts

)

select * from final
order by cohort_month, months_since_first_order
