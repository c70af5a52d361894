{% test expect_column_values_to_be_in_set(
    model, column_name, value_set, quote_values=true, row_condition=none
) %}
    {%- set quote = "'" if quote_values else "" -%}
    {%- set in_set -%}
        {{ column_name }} in ({{ quote }}{{ value_set | join(quote ~ ", " ~ quote) }}{{ quote }})
    {%- endset -%}
    {{ dbt_expectations.test_expression_is_true(
        model, "coalesce(" ~ in_set ~ ", false)", row_condition=row_condition
    ) }}
{% endtest %}
