with transactions as (

    select * from {{ ref('fct_card_transactions') }}

),

outcomes as (

    select *
    from {{ ref('fct_merchant_activity') }}
    where activity_type = 'outcome'

),

final as (

    select
        transactions.transaction_id,
        transactions.card_id,
        transactions.merchant_id,
        transactions.category,
        transactions.amount,
        transactions.merchant_latitude,
        transactions.merchant_longitude,
        transactions.transacted_at as prediction_at,
        outcomes.is_fraud as outcome,
        outcomes.available_at as outcome_known_at
    from transactions
    inner join outcomes on transactions.transaction_id = outcomes.transaction_id

)

select * from final
