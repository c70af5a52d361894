{% test expect_column_values_to_match_regex(
    model, column_name, regex, row_condition=none, is_raw=false, flags=""
) %}
    {%- set matches = "regexp_matches(" ~ column_name ~ ", '" ~ regex ~ "', '" ~ flags ~ "')" -%}
    {{ dbt_expectations.test_expression_is_true(model, matches, row_condition=row_condition) }}
{% endtest %}
