-- Where does fraud happen, and what does it cost?
-- One row for each line of business and hour of the day (UTC), the dearest first. The rate is the share of
-- transactions that proved to be fraud, beside it how many times the rate of all transactions that is; of few
-- transactions either is noise. Whether a transaction was fraud is known only later: for looking back, not a feature.
with transactions as (

    select * from {{ ref('fct_card_transactions') }}

),

hours as (

    select
        category,
        hour(transacted_at) as hour_of_day,
        count(*) as transaction_count,
        count(*) filter (where is_fraud) as fraud_count,
        coalesce(sum(amount) filter (where is_fraud), 0) as fraud_amount
    from transactions
    group by all

),

final as (

    select
        category,
        hour_of_day,
        transaction_count,
        fraud_count,
        fraud_amount,
        round(fraud_count / transaction_count, 5) as fraud_rate,
        round(
            fraud_count / transaction_count
            / nullif(sum(fraud_count) over () / sum(transaction_count) over (), 0), 2
        ) as times_the_overall_rate
    from hours

)

select * from final
order by fraud_amount desc, category asc, hour_of_day asc
