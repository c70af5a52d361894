with chunks as (

    select * from {{ ref('doc_chunks') }}

),

final as (

    select
        document_id,
        chunk_number,
        text,
        valid_from as available_at
    from chunks
    where source = 'support' and valid_to = {{ assay.end_of_time() }}

)

select * from final
