{% macro mean_variance(n, squares) -%}
    case when {{ n }} > 1 then ({{ squares }}) / ({{ n }} - 1) / ({{ n }}) end
{%- endmacro %}
