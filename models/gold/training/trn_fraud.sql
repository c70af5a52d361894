with spine as (

    select * from {{ ref('lbl_fraud') }}

),

joined as (

    {{ point_in_time_join('spine', 'prediction_at', [
        {
            'view': 'ftr_card__velocity',
            'columns': [
                'transaction_count_5m', 'transaction_count_1h', 'transaction_count_24h', 'transaction_count_7d',
                'transaction_count_30d', 'amount_sum_5m', 'amount_sum_1h', 'amount_sum_24h', 'amount_sum_7d',
                'amount_max_24h', 'amount_max_7d', 'merchant_distinct_count_24h', 'merchant_distinct_count_7d',
            ],
            'derived': [
                'seconds_since_last', 'kilometres_from_last', 'kilometres_per_hour', 'amount_to_average_30d',
            ],
        },
        {
            'view': 'ftr_card_merchant__pairs',
            'columns': ['transaction_count_90d'],
            'derived': ['is_new_merchant'],
            'prefix': 'pair_',
        },
    ]) }}

),

final as (

    select * from joined

)

select * from final
