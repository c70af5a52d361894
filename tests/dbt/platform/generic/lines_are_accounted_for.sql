{% test lines_are_accounted_for(model) -%}
{%- set sources = assay._landing_sources() -%}
with landed as (

    {{ assay._landed_lines(sources) }}

),

listed as (

    select
        *,
        -- Rows of a table that is no longer declared stay where they are, and nobody reads them.
        list_contains({{ sources | list }}::varchar[], source_name || '.' || table_name) as is_declared,
        count(*) over (partition by file_id) as times_listed
    from {{ model }}

),

compared as (

    select
        coalesce(listed.file_id, landed.file_id) as file_id,
        listed.source_file,
        listed.file_version,
        listed.status,
        listed.line_count,
        listed.header_line_count + listed.blank_line_count + listed.row_line_count + listed.erased_line_count
            as lines_accounted_for,
        listed.row_count as rows_listed,
        coalesce(landed.row_count, 0) as rows_landed,
        listed.malformed_row_count as malformed_rows_listed,
        coalesce(landed.malformed_row_count, 0) as malformed_rows_landed,
        coalesce(listed.times_listed, 0) as times_listed,
        (listed.status = 'loaded') = (listed.error is null) as is_loaded_or_says_why,
        coalesce(listed.is_declared, true) as is_declared
    from listed
    full outer join landed
        on listed.file_id = landed.file_id and listed.source_name || '.' || listed.table_name = landed.table_name

),

final as (

    select * exclude (is_declared)
    from compared
    where
        times_listed <> 1
        or line_count <> lines_accounted_for
        or not is_loaded_or_says_why
        or (
            is_declared
            and (rows_listed <> rows_landed or malformed_rows_listed <> malformed_rows_landed)
        )

)

select * from final
{%- endtest %}
