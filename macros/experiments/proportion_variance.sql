{% macro proportion_variance(n, share) -%}
    ({{ share }}) * (1 - ({{ share }})) / nullif({{ n }}, 0)
{%- endmacro %}
