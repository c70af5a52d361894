{% macro ratio_variance(n, ratio, denominator_mean, numerator_squares, denominator_squares, products) -%}
    greatest(
        ({{ numerator_squares }}) + ({{ ratio }}) ** 2 * ({{ denominator_squares }}) - 2 * ({{ ratio }}) * ({{ products }}), 0
    ) / nullif({{ n }} - 1, 0) / ({{ n }}) / nullif(({{ denominator_mean }}) ** 2, 0)
{%- endmacro %}
