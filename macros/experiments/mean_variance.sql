{% macro mean_variance(n, squares) -%}
    ({{ squares }}) / nullif({{ n }} - 1, 0) / ({{ n }})
{%- endmacro %}
