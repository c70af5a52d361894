with spine as (

    select * from {{ ref('lbl_next_purchase') }}

),

described as (

    {{ assay.point_in_time_join('spine', 'prediction_at', [
        {'view': 'ftr_product__description', 'columns': ['description_vector']},
    ]) }}

),

joined as (

    {{ assay.point_in_time_join('described', 'prediction_at', [
        {
            'view': 'ftr_customer__affinity',
            'columns': ['affinity_score', 'affinity_rank'],
        },
        {
            'view': 'ftr_product__demand',
            'columns': [
                'view_count_24h', 'view_count_7d', 'view_count_28d', 'cart_addition_count_7d',
                'cart_addition_count_28d', 'unit_sum_7d', 'unit_sum_28d', 'price_min_28d', 'price_max_28d',
            ],
            'derived': ['view_trend_4h', 'price_range_28d'],
            'prefix': 'product_',
        },
        {
            'view': 'ftr_customer__purchases',
            'columns': [
                'purchase_count_30d', 'purchase_count_90d', 'purchase_count_all', 'amount_avg_90d', 'amount_avg_all',
            ],
            'derived': ['days_since_last_purchase', 'average_order_value', 'purchase_frequency_30d'],
            'prefix': 'customer_',
        },
        {
            'view': 'ftr_customer__taste',
            'columns': ['described_purchase_count'],
            'derived': ['taste_similarity'],
            'inputs': {'product_vector': 'description_vector'},
            'prefix': 'customer_',
        },
    ]) }}

),

split_rows as (

    select
        * exclude (description_vector),
        {{ assay.temporal_split(
            'prediction_at',
            [assay.share_of_time('spine', 'prediction_at', 0.6), assay.share_of_time('spine', 'prediction_at', 0.85)],
            '35d'
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
