{% macro streams_read() -%}
    {%- set found = {} -%}
    {%- for source_table, relation in assay.sources_read().items() -%}
        {%- set landing = assay._source_named(source_table).config.meta.get('landing', {}) -%}
        {%- if landing.streamed -%}
            {%- do found.update({source_table: {'relation': relation, 'idle_after': landing.get('idle_after', '10m')}}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
