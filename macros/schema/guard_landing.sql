{% macro guard_landing() -%}
    {%- if execute -%}
        {%- for node in graph.sources.values() if node.config.meta.get('landing') -%}
            {%- set identifier = node.source_name ~ '__' ~ node.name -%}
            {%- if node.schema != 'landing' or node.identifier != identifier -%}
                {{ exceptions.raise_compiler_error(
                    node.original_file_path ~ ": the landing table " ~ node.source_name ~ "." ~ node.name
                    ~ " lies in landing." ~ identifier ~ ": set schema: landing for the source and identifier: "
                    ~ identifier ~ " for the table"
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
