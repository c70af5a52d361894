{#- Long because it names each column of a chunk; its steps are short, and each is of the one before. -#}
{% macro chunk_changes(changes, texts) -%}
with changes as (

    select * from {{ changes }}
    where not is_superseded

),

texts as (

    select * from {{ texts }}

),

cut as (

    select
        changes.* exclude (title),
        -- Each chunk repeats it, and it may be as long as the document.
        case when length(changes.title) > 200 then left(changes.title, 199) || '…' else changes.title end as title,
        coalesce(texts.chunks, []) as chunks,
        -- How many chunks the document had at most so far: those that it has no more end.
        max(len(coalesce(texts.chunks, []))) over (
            partition by changes.document_id
            order by changes.available_at range between unbounded preceding and current row
        ) as numbers
    from changes
    left join texts on changes.body_hash = texts.body_hash

),

numbered as (

    select
        * exclude (numbers),
        unnest(range(1, numbers + 1))::integer as chunk_number
    from cut

),

placed as (

    select
        *,
        chunks[chunk_number] as chunk
    from numbered

),

final as (

    select
        document_id,
        chunk_number,
        source,
        title,
        tags,
        chunk.heading_path,
        chunk.start_at,
        chunk.end_at,
        chunk.text,
        chunk.tokens,
        case
            when chunk is not null then sha256({{ assay.embedded_text('title', 'chunk.heading_path', 'chunk.text') }})
        end as chunk_hash,
        chunk is null as is_deleted,
        -- Of versions that arrive together one stands as a whole.
        struct_pack(
            committed_at := committed_at, source_file := source_file, file_version := file_version, row_number := row_number
        ) as change_order,
        available_at
    from placed

)

select * from final
{%- endmacro %}
