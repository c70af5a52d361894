-- How do sales develop from month to month?
-- Growth is the change against the calendar month before, 0.1 for a tenth more; NULL where that month sold nothing.
-- The first and the last month may be cut short: `first_date` and `last_date` say which days they cover.
with daily_sales as (

    select * from {{ ref('fct_daily_sales') }}

),

months as (

    select
        date_trunc('month', sales_date)::date as sales_month,
        min(sales_date) as first_date,
        max(sales_date) as last_date,
        sum(gross_sales_amount) as gross_sales_amount,
        sum(cancelled_amount) as cancelled_amount,
        sum(net_sales_amount) as net_sales_amount
    from daily_sales
    group by all

),

final as (

    select
        months.*,
        round(
            (months.net_sales_amount - previous.net_sales_amount) / nullif(previous.net_sales_amount, 0), 4
        ) as net_sales_growth
    from months
    -- The row before may be of an earlier month: months without sales have no row.
    left join months as previous on months.sales_month = previous.sales_month + interval 1 month

)

select * from final
order by sales_month
