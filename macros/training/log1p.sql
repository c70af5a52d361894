{% macro log1p(column) -%}
    {%- set x = '(' ~ assay._sql(column) ~ ')::double' -%}
    {#- Where 1 + x has lost digits of x, its logarithm is put right by what was lost. -#}
case when 1 + {{ x }} = 1 then {{ x }} else ln(1 + {{ x }}) * {{ x }} / ((1 + {{ x }}) - 1) end
{%- endmacro %}
