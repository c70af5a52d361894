with transactions as (

    select * from {{ ref('fct_card_transactions') }}

),

outcomes as (

    select
        transaction_id,
        card_id,
        merchant_id,
        category,
        amount,
        merchant_latitude,
        merchant_longitude,
        transacted_at as prediction_at,
        is_fraud as outcome,
        -- Frauds are confirmed when the cardholder has seen the statement.
        greatest(transacted_at + interval '45 days', available_at) as outcome_known_at
    from transactions

),

final as (

    select *
    from outcomes
    where outcome_known_at <= {{ known_until('transactions') }}

)

select * from final
