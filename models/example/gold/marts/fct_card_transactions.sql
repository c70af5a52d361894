with transactions as (

    select * from {{ ref('slv_card_transactions') }}

),

final as (

    select
        -- A transaction's number is unique only for its card.
        card_id || '-' || transaction_number as transaction_id,
        card_id,
        merchant_id,
        category,
        amount,
        home_latitude,
        home_longitude,
        home_city,
        home_state,
        merchant_latitude,
        merchant_longitude,
        is_fraud,
        event_at as transacted_at,
        event_at::date as transacted_date,
        available_at
    from transactions

)

select * from final
