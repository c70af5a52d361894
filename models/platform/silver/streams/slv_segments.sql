{{ config(materialized='view') }}

with files as (

    select
        *,
        regexp_extract(
            source_file,
            '/topic=([^/]+)/partition=([0-9]+)/([0-9]+)-([0-9]+)[.]jsonl[.]gz$',
            ['topic', 'number', 'first', 'last']
        ) as named
    from {{ ref('brz_files') }}
    where status = 'loaded'

),

final as (

    select
        source_name || '.' || table_name as source_table,
        named.topic,
        named.number::bigint as partition, -- noqa: RF04
        named.first::bigint as first_offset,
        named.last::bigint as last_offset,
        file_id,
        row_count,
        landed_at as written_at
    from files
    where named.topic != ''

)

select * from final
