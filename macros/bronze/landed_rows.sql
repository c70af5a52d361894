{% macro landed_rows(source_name, table_name) -%}
    {%- set is_streamed = execute and assay._source_named(source_name ~ '.' ~ table_name).config.meta.landing.streamed -%}
-- depends_on: {{ ref('brz_files') }}
with landed as (

    select * from {{ source(source_name, table_name) }}

),

files as (

    select * from {{ ref('brz_files') }}

),

final as (

    select
        landed.*{{ ' exclude (message_landed_at)' if is_streamed }},
        {{ assay.content_hash(source_name, table_name) }} as content_hash,
        files.source_file,
        files.file_version,
        {#- A message landed by itself, not with the file that it was written to later. #}
        {{ 'coalesce(landed.message_landed_at, files.landed_at) as landed_at' if is_streamed else 'files.landed_at' }},
        files.loaded_at,
        files.run_id
    from landed
    inner join files on landed.file_id = files.file_id

)

select * from final
{%- endmacro %}
