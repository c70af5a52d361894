with order_lines as (

    select * from {{ ref('fct_order_lines') }}

),

purchases as (

    select * from {{ ref('ftr_customer__purchases') }}

),

customers as (

    select distinct
        customer_id,
        {{ assay.known_until('order_lines') }} as as_of
    from purchases

),

features as (

    {{ assay.point_in_time_join('customers', 'as_of', [
        {
            'view': 'ftr_customer__purchases',
            'columns': ['order_distinct_count_all', 'category_mode_all'],
            'derived': ['average_order_value', 'days_since_last_purchase', 'purchase_frequency_30d'],
        },
    ]) }}

),

final as (

    select
        customer_id,
        as_of,
        order_distinct_count_all as total_purchases,
        average_order_value,
        days_since_last_purchase,
        purchase_frequency_30d as purchase_frequency,
        category_mode_all as most_common_category
    from features

)

select * from final
