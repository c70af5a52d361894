{% macro content_hash(source_name, table_name) -%}
    {%- set landing = namespace(columns=[]) -%}
    {%- if execute -%}
        {%- for node in graph.sources.values()
            if node.source_name == source_name and node.name == table_name
                and node.config.meta.landing.format == 'csv' -%}
            {%- set landing.columns = node.columns.keys() | list + ['malformed_line'] -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if landing.columns -%}
        {#- The merge drops absent values, so that a column has the same part in the hash before and after it is
            declared. -#}
        md5(
            json_merge_patch(
                '{}',
                to_json(
                    struct_pack({% for column in landing.columns %}"{{ column }}" := landed."{{ column }}"{{ ', ' if not loop.last }}{% endfor %})
                ),
                coalesce(landed.other_values, '{}')
            )::varchar
        )
    {%- else -%}
        md5(landed.line)
    {%- endif -%}
{%- endmacro %}
