{% test expect_compound_columns_to_be_unique(
    model, column_list, quote_columns=false, ignore_row_if="all_values_are_missing", row_condition=none
) %}
    {%- if not column_list -%}
        {%- do exceptions.raise_compiler_error("A test of compound columns needs column_list, a list of them.") -%}
    {%- endif -%}
    {%- set operators = {"all_values_are_missing": " or ", "any_value_is_missing": " and "} -%}
    {%- if ignore_row_if not in operators -%}
        {%- do exceptions.raise_compiler_error(
            "ignore_row_if is '" ~ ignore_row_if ~ "', not one of: " ~ operators | join(", ")
        ) -%}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- set present = [] -%}
    {%- for name in column_list -%}
        {%- set column = adapter.quote(name) if quote_columns else name -%}
        {%- do columns.append(column) -%}
        {%- do present.append(column ~ " is not null") -%}
    {%- endfor %}
with repeated as (
    select
        {{ columns | join(", ") }},
        count(*) as n_records
    from {{ model }}
    where
        {%- if row_condition %}
        {{ row_condition }} and
        {%- endif %}
        ({{ present | join(operators[ignore_row_if]) }})
    group by {{ columns | join(", ") }}
    having count(*) > 1
)

select *
from repeated
{% endtest %}
