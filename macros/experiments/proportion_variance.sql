{#- Where a share is the last of many roundings, it may lie a little below 0 or above 1. -#}
{% macro proportion_variance(n, share) -%}
    case when {{ n }} > 0 then greatest(({{ share }}) * (1 - ({{ share }})), 0) / ({{ n }}) end
{%- endmacro %}
