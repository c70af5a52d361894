{{ config(meta={"message": "not one of: all_values_are_missing, any_value_is_missing"}) }}

{%- set payments = ref("payments") -%}

-- A generic test would be refused when the project is parsed, and no other case would run.
{%- if execute -%}
{{ dbt_expectations.test_expect_compound_columns_to_be_unique(payments, ["amount"], ignore_row_if="never") }}
{%- endif -%}
