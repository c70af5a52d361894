{% macro cuped_variance(n, value_squares, covariate_squares, products, coefficient) -%}
    case when {{ n }} > 1 then greatest(
        ({{ value_squares }}) + ({{ coefficient }}) ** 2 * ({{ covariate_squares }}) - 2 * ({{ coefficient }}) * ({{ products }}), 0
    ) / ({{ n }} - 1) / ({{ n }}) end
{%- endmacro %}
