{% test lines_are_accounted_for(model) -%}
{%- set declared = [] -%}
{%- if execute -%}
    {#- The graph, not a list in which a table could be forgotten. The test then depends on the files alone, and
        dbt lets all that is built from them wait for it. -#}
    {%- for node in graph.sources.values() if node.config.meta.get('landing') -%}
        {%- do declared.append(node) -%}
    {%- endfor -%}
{%- endif -%}
with files as (

    select * from {{ model }}

),

-- Rows of a table that is no longer declared stay where they are, and nobody reads them.
declared_tables as (

    select *
    from (
        values
        {%- for node in declared %}
        ('{{ node.source_name }}', '{{ node.name }}'){{ ',' if not loop.last }}
        {%- endfor %}
    ) as declared (source_name, table_name)

),

landed as (
    {% for node in declared %}
    select
        '{{ node.source_name }}' as source_name,
        '{{ node.name }}' as table_name,
        file_id,
        count(*) as row_count,
        count(malformed_reason) as malformed_row_count
    from {{ node.relation_name }}
    group by file_id
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

listed as (

    select
        files.*,
        declared_tables.table_name is not null as is_declared,
        count(*) over (partition by files.file_id) as times_listed
    from files
    left join declared_tables
        on files.source_name = declared_tables.source_name and files.table_name = declared_tables.table_name

),

compared as (

    select
        coalesce(listed.file_id, landed.file_id) as file_id,
        listed.source_file,
        listed.file_version,
        listed.status,
        listed.line_count,
        listed.header_line_count + listed.blank_line_count + listed.row_line_count as lines_accounted_for,
        listed.row_count as rows_listed,
        coalesce(landed.row_count, 0) as rows_landed,
        listed.malformed_row_count as malformed_rows_listed,
        coalesce(landed.malformed_row_count, 0) as malformed_rows_landed,
        coalesce(listed.times_listed, 0) as times_listed,
        (listed.status = 'loaded') = (listed.error is null) as is_loaded_or_says_why,
        coalesce(listed.is_declared, true) as is_declared
    from listed
    full outer join landed
        on
            listed.file_id = landed.file_id
            and listed.source_name = landed.source_name
            and listed.table_name = landed.table_name

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
