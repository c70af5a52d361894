{% macro pii_mask(column, shown=0) -%}
    {%- if shown is not integer or shown < 0 -%}
        {%- do assay._refuse('pii_mask shows a whole number of characters, 0 or more, not ' ~ shown) -%}
    {%- endif -%}
    {%- set value = '(' ~ assay._sql(column) ~ ')::varchar' -%}
    repeat('*', greatest(length({{ value }}) - {{ shown }}, 0)) || right({{ value }}, {{ shown }})
{%- endmacro %}
