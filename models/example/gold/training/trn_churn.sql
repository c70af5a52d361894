with spine as (

    select * from {{ ref('lbl_churn') }}

),

joined as (

    {{ assay.point_in_time_join('spine', 'prediction_at', [
        {
            'view': 'ftr_customer__purchases',
            'columns': [
                'purchase_count_7d', 'purchase_count_30d', 'purchase_count_90d', 'purchase_count_all',
                'order_distinct_count_30d', 'order_distinct_count_90d', 'order_distinct_count_all',
                'amount_sum_30d', 'amount_sum_90d', 'amount_sum_all', 'amount_avg_90d', 'amount_avg_all',
                'category_mode_90d',
            ],
            'derived': [
                'days_since_last_purchase', 'days_since_first_purchase', 'average_order_value',
                'purchase_frequency_30d',
            ],
        },
        {
            'view': 'ftr_customer__sessions',
            'columns': ['view_count_24h', 'cart_addition_count_24h', 'product_distinct_count_24h'],
        },
    ]) }}

),

split_rows as (

    select
        *,
        {{ assay.temporal_split(
            'prediction_at',
            [assay.share_of_time('spine', 'prediction_at', 0.8)],
            '97d'
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
