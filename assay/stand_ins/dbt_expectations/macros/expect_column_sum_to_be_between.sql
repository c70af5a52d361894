{% test expect_column_sum_to_be_between(
    model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false
) %}
    {%- set in_range = dbt_expectations._between("sum(" ~ column_name ~ ")", min_value, max_value, strictly) -%}
    {{ dbt_expectations.test_expression_is_true(
        model, in_range, group_by_columns=group_by, row_condition=row_condition
    ) }}
{% endtest %}
