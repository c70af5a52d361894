{% macro landed_rows(source_name, table_name) -%}
-- depends_on: {{ ref('brz_files') }}
with landed as (

    select * from {{ source(source_name, table_name) }}

),

files as (

    select * from {{ ref('brz_files') }}

),

final as (

    select
        landed.*,
        {{ assay.content_hash(source_name, table_name) }} as content_hash,
        files.source_file,
        files.file_version,
        files.landed_at,
        files.loaded_at,
        files.run_id
    from landed
    inner join files on landed.file_id = files.file_id

)

select * from final
{%- endmacro %}
