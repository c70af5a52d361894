{% macro silence_allowed() -%}
    {%- set found = {} -%}
    {%- for source_table in assay.sources_read() -%}
        {%- set freshness = assay._source_named(source_table).freshness or {} -%}
        {%- set limit = freshness.warn_after if (freshness.warn_after or {}).count else freshness.error_after -%}
        {%- if limit and limit.count -%}
            {%- do found.update({source_table: limit.count ~ (limit.period | string)[0]}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
