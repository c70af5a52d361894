with transactions as (

    select * from {{ ref('fct_card_transactions') }}

),

-- What a transaction proves to be is part of it in the source, but nobody knows it yet when the card is used.
authorisations as (

    select
        transaction_id,
        'authorisation' as activity_type,
        merchant_id,
        card_id,
        amount,
        null::boolean as is_fraud,
        transacted_at,
        available_at
    from transactions

),

outcomes as (

    select
        transaction_id,
        'outcome' as activity_type,
        merchant_id,
        card_id,
        amount,
        is_fraud,
        transacted_at,
        -- Frauds are confirmed when the cardholder has seen the statement.
        greatest(transacted_at + interval '45 days', available_at) as available_at
    from transactions

),

known_outcomes as (

    select *
    from outcomes
    where available_at <= {{ assay.known_until('transactions') }}

),

final as (

    select * from authorisations
    union all
    select * from known_outcomes

)

select * from final
