{#- Long because each step is of the one before: which chunks hold, when that changes, their sum at each such instant, and its length. -#}
{% macro document_vectors(chunks, embeddings) -%}
with chunks as (

    select * from {{ chunks }}

),

embeddings as (

    select * from {{ embeddings }}

),

embedded as (

    select
        chunks.document_id,
        chunks.chunk_number,
        chunks.valid_from,
        chunks.valid_to,
        embeddings.vector::double[] as vector
    from chunks
    inner join embeddings on chunks.chunk_hash = embeddings.chunk_hash
    where embeddings.vector is not null

),

instants as (

    select
        document_id,
        valid_from as available_at
    from embedded

    union

    select
        document_id,
        valid_to as available_at
    from embedded
    where valid_to < {{ assay.end_of_time() }}

),

-- In the order of the chunks: sums of several numbers differ in their last digits by it.
states as (

    select
        instants.document_id,
        instants.available_at,
        list(embedded.vector order by embedded.chunk_number) filter (where embedded.vector is not null) as vectors
    from instants
    left join embedded
        on
            instants.document_id = embedded.document_id
            and instants.available_at >= embedded.valid_from
            and instants.available_at < embedded.valid_to
    group by instants.document_id, instants.available_at

),

summed as (

    select
        *,
        list_reduce(vectors, lambda one, other:
            list_transform(list_zip(one, other), lambda pair: pair[1] + pair[2])
        ) as total
    from states

),

measured as (

    select
        *,
        nullif(sqrt(list_inner_product(total, total)), 0) as length
    from summed

),

final as (

    select
        document_id,
        available_at,
        case when length is not null then list_transform(total, lambda value: (value / length)::float) end as vector,
        length is null as is_deleted
    from measured

)

select * from final
{%- endmacro %}
