with descriptions as (

    select * rename (description_vector as vector) from {{ ref('ftr_product__description') }}

),

changes as (

    {{ assay.nearest_vectors('descriptions', 'product_id', count=10) }}

),

history as (

    {{ assay.change_history(
        'changes',
        entity_keys=['product_id'],
        available_at='available_at',
        columns=['neighbours', 'similarities'],
        is_deleted='is_deleted'
    ) }}

),

final as (

    select
        * rename (neighbours as neighbour_ids, similarities as neighbour_similarities)
    from history

)

select * from final
