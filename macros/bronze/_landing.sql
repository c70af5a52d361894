{#- What the test lines_are_accounted_for is written with. -#}

{#- The sources that files are landed for, by their names. The graph has them, not a list in which one could be
    forgotten: the test depends on the files alone, and dbt lets all that is built from them wait for it. -#}
{% macro _landing_sources() -%}
    {%- set found = {} -%}
    {%- if execute -%}
        {%- for node in graph.sources.values() if node.config.meta.get('landing') -%}
            {%- do found.update({node.source_name ~ '.' ~ node.name: node.relation_name}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}


{#- How many rows of each file landed. -#}
{% macro _landed_lines(sources) -%}
    {%- for name, relation in sources.items() %}
    select
        {{ assay._text(name) }} as table_name,
        file_id,
        count(*) as row_count,
        count(malformed_reason) as malformed_row_count
    from {{ relation }}
    group by file_id
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
