{% test expect_column_value_lengths_to_be_between(
    model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false
) %}
    {{ dbt_expectations.test_expect_column_values_to_be_between(
        model, "length(" ~ column_name ~ ")", min_value, max_value, row_condition, strictly
    ) }}
{% endtest %}
