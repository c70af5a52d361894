{% macro cuped_variance(n, value_squares, covariate_squares, products, coefficient) -%}
    greatest(
        ({{ value_squares }}) + ({{ coefficient }}) ** 2 * ({{ covariate_squares }}) - 2 * ({{ coefficient }}) * ({{ products }}), 0
    ) / nullif({{ n }} - 1, 0) / ({{ n }})
{%- endmacro %}
