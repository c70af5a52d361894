with spine as (

    select * from {{ ref('lbl_fraud') }}

),

joined as (

    {{ assay.point_in_time_join('spine', 'prediction_at', [
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
        {
            'view': 'ftr_card__categories',
            'columns': ['category_transaction_count_90d', 'category_amount_sum_90d'],
            'derived': ['share_90d', 'is_unusual_category'],
            'prefix': 'habit_',
        },
        {
            'view': 'ftr_merchant__activity',
            'columns': [
                'transaction_count_1h', 'transaction_count_24h', 'transaction_count_7d', 'amount_sum_24h',
                'card_distinct_count_1h', 'card_distinct_count_24h',
            ],
            'derived': ['confirmed_fraud_rate_90d', 'confirmed_fraud_rate_all'],
            'prefix': 'merchant_',
        },
    ]) }}

),

split_rows as (

    select
        *,
        {{ assay.temporal_split(
            'prediction_at',
            [assay.share_of_time('spine', 'prediction_at', 0.6), assay.share_of_time('spine', 'prediction_at', 0.85)],
            '45d'
        ) }} as split
    from joined

),

final as (

    select
        split_rows.*,
        {{ assay.balanced_weight('outcome', "split = 'train'") }} as weight
    from split_rows

)

select * from final
