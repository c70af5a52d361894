{% test expect_column_values_to_match_regex(
    model, column_name, regex, row_condition=none, is_raw=false, flags=""
) %}
    {%- for flag in flags if flag not in "ciep" -%}
        {%- do exceptions.warn("The flag " ~ flag ~ " of a regular expression is none of: c, i, e, p") -%}
    {%- endfor -%}
    {%- set matches = "regexp_matches(" ~ column_name ~ ", '" ~ regex ~ "', '" ~ flags ~ "') > 0" -%}
    {{ dbt_expectations.test_expression_is_true(model, matches, row_condition=row_condition) }}
{% endtest %}
