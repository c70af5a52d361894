with transactions as (

    select * from {{ ref('fct_card_transactions') }}

),

categories as (

    select
        card_id,
        category,
        min(available_at) as known_from
    from transactions
    group by card_id, category

),

final as (

    select
        transactions.transaction_id,
        categories.card_id,
        categories.category,
        transactions.category = categories.category as is_in_category,
        transactions.amount,
        transactions.transacted_at,
        greatest(transactions.available_at, categories.known_from) as available_at
    from categories
    inner join transactions on categories.card_id = transactions.card_id

)

select * from final
