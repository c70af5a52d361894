{% macro pii_mask(column, shown=0) -%}
    {%- if shown is not integer or shown < 0 -%}
        {%- do assay._refuse('pii_mask shows a whole number of characters, 0 or more, not ' ~ shown) -%}
    {%- endif -%}
    repeat('*', greatest(length({{ column }}::varchar) - {{ shown }}, 0)) || right({{ column }}::varchar, {{ shown }})
{%- endmacro %}
