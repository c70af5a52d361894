{% macro interact(a, b) -%}
    (({{ assay._sql(a) }})::double * ({{ assay._sql(b) }})::double)
{%- endmacro %}
