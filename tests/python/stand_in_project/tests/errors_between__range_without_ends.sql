{{ config(meta={"message": "needs min_value, max_value or both"}) }}

{%- set payments = ref("payments") -%}

-- A generic test would be refused when the project is parsed, and no other case would run.
{%- if execute -%}
{{ dbt_expectations.test_expect_column_values_to_be_between(payments, "amount") }}
{%- endif -%}
