{%- set landed_changes = api.Relation.create(target.database, 'landing', 'schema_changes') -%}
-- depends_on: {{ ref('brz_files') }}
with changes as (

    select * from {{ landed_changes }}

),

final as (

    select
        source_name,
        table_name,
        column_name,
        kind,
        mode,
        expected_type,
        found_type,
        suggested_name,
        first_landed_at,
        first_file,
        last_landed_at,
        last_file,
        file_count,
        loaded_file_count,
        row_count,
        state,
        accepted_at
    from changes

)

select * from final
