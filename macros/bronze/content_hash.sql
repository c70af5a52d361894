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
        {%- set declared -%}
            to_json(
                struct_pack({% for column in landing.columns | sort(case_sensitive=true) %}{{ assay.quoted(column) }} := {{ assay.quoted(column, 'landed') }}{{ ', ' if not loop.last }}{% endfor %})
            )
        {%- endset -%}
        {#- The merge drops absent values, and all stand in the order of their names, so that a column has the same
            part in the hash before and after it is declared. -#}
        md5(
            case
                when landed.other_values is null then json_merge_patch('{}', {{ declared }})::varchar
                else '{' || array_to_string(
                    list_transform(
                        list_sort(
                            map_entries(
                                json_transform(
                                    json_merge_patch('{}', {{ declared }}, landed.other_values),
                                    '"MAP(VARCHAR, VARCHAR)"'
                                )
                            )
                        ),
                        lambda entry: to_json(entry.key) || ':' || to_json(entry.value)
                    ),
                    ','
                ) || '}'
            end
        )
    {%- else -%}
        md5(landed.line)
    {%- endif -%}
{%- endmacro %}
