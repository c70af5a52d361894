{% macro ratio_variance(n, ratio, denominator_mean, numerator_squares, denominator_squares, products) -%}
    case when {{ n }} > 1 then greatest(
        ({{ numerator_squares }}) + ({{ ratio }}) ** 2 * ({{ denominator_squares }}) - 2 * ({{ ratio }}) * ({{ products }}), 0
    ) / ({{ n }} - 1) / ({{ n }}) / nullif(({{ denominator_mean }}) ** 2, 0) end
{%- endmacro %}
