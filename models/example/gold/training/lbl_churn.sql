with purchases as (

    select * from {{ ref('fct_purchases') }}

),

orders as (

    select distinct
        customer_id,
        ordered_at,
        available_at
    from purchases
    where customer_id is not null

),

mondays as (

    select
        unnest(generate_series(
            date_trunc('week', min(available_at)) + interval '7 days',
            {{ assay.known_until('purchases') }} - interval '97 days',
            interval '7 days'
        )) as prediction_at
    from orders

),

cut_offs as (

    select
        prediction_at,
        prediction_at + interval '90 days' as ended_at,
        -- Order lines may land days after they were written; what comes later still changes no outcome.
        prediction_at + interval '97 days' as outcome_known_at
    from mondays

),

active_customers as (

    select distinct
        cut_offs.*,
        orders.customer_id
    from cut_offs
    inner join orders
        on
            cut_offs.prediction_at >= orders.available_at
            and cut_offs.prediction_at < orders.ordered_at + interval '90 days'

),

returned as (

    select distinct
        cut_offs.prediction_at,
        orders.customer_id
    from cut_offs
    inner join orders
        on
            cut_offs.prediction_at <= orders.ordered_at
            and cut_offs.ended_at > orders.ordered_at
            and cut_offs.outcome_known_at >= orders.available_at

),

final as (

    select
        active_customers.customer_id || '@' || active_customers.prediction_at::date as churn_id,
        active_customers.customer_id,
        active_customers.prediction_at,
        returned.customer_id is null as outcome,
        active_customers.outcome_known_at
    from active_customers
    left join returned using (prediction_at, customer_id)

)

select * from final
