{% macro sequential_p_value(difference, variance, n, alpha, expected_n) -%}
    {%- set mixed = '(' ~ n ~ ') * ' ~ assay._mixing_variance(alpha, expected_n) -%}
    case
        when ({{ variance }}) > 0 then least(1, sqrt(1 + {{ mixed }}) * exp(
            -(({{ difference }}) ** 2) / (2 * ({{ variance }})) * ({{ mixed }}) / (1 + {{ mixed }})
        ))
    end
{%- endmacro %}
