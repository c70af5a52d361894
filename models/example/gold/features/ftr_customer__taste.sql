with purchases as (

    select * from {{ ref('fct_order_lines') }}
    where line_type = 'sale'

),

descriptions as (

    select * rename (description_vector as vector) from {{ ref('ftr_product__description') }}

),

changes as (

    {{ assay.mean_vectors('purchases', 'descriptions', ['customer_id'], 'product_id', 'available_at') }}

),

tastes as (

    select
        customer_id,
        vector::float[256] as taste_vector,
        events as described_purchase_count,
        available_at
    from changes

),

history as (

    {{ assay.change_history(
        'tastes',
        entity_keys=['customer_id'],
        available_at='available_at',
        columns=['taste_vector', 'described_purchase_count']
    ) }}

),

final as (

    select * from history

)

select * from final
