with descriptions as (

    select * from {{ ref('doc_chunks') }}
    where source = 'catalog'

),

changes as (

    {{ assay.document_vectors('descriptions', ref('doc_embeddings')) }}

),

described as (

    select
        replace(document_id, 'product-', '') as product_id,
        vector::float[256] as description_vector,
        available_at,
        is_deleted
    from changes

),

history as (

    {{ assay.change_history(
        'described',
        entity_keys=['product_id'],
        available_at='available_at',
        columns=['description_vector'],
        is_deleted='is_deleted'
    ) }}

),

final as (

    select * from history

)

select * from final
