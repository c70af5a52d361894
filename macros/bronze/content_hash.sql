{% macro content_hash(source_name, table_name) -%}
    {%- set landing = namespace(columns=['line']) -%}
    {%- if execute -%}
        {%- for node in graph.sources.values()
            if node.source_name == source_name and node.name == table_name
                and node.config.meta.landing.format == 'csv' -%}
            {%- set landing.columns = node.columns.keys() | list + ['other_values', 'malformed_line'] -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if landing.columns | length == 1 -%}
        md5(landed.line)
    {%- else -%}
        {#- As JSON, so that neither empty and absent values nor neighbouring columns can be taken for each other. -#}
        md5(to_json([{% for column in landing.columns %}landed."{{ column }}"{{ ', ' if not loop.last }}{% endfor %}])::varchar)
    {%- endif -%}
{%- endmacro %}
