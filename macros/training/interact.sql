{% macro interact(a, b) -%}
    (({{ a }})::double * ({{ b }})::double)
{%- endmacro %}
