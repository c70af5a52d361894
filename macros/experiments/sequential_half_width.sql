{% macro sequential_half_width(variance, n, alpha, expected_n) -%}
    {%- set mixed = '(' ~ n ~ ') * ' ~ assay._mixing_variance(alpha, expected_n) -%}
    sqrt(({{ variance }}) * (1 + {{ mixed }}) / ({{ mixed }}) * (ln(1 + {{ mixed }}) - 2 * ln({{ alpha }})))
{%- endmacro %}


{#- The mixing variance, in variances of one unit, at which the interval is about narrowest at `expected_n` units: as Waudby-Smith,
    Arbour, Sinha, Kennedy and Ramdas approximate it, Annals of Statistics 52 (2024). -#}
{% macro _mixing_variance(alpha, expected_n) -%}
    ((ln(1 - 2 * ln({{ alpha }})) - 2 * ln({{ alpha }})) / ({{ expected_n }}))
{%- endmacro %}
