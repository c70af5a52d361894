{% test expect_table_row_count_to_equal_other_table(
    model,
    compare_model,
    group_by=none,
    compare_group_by=none,
    factor=1,
    row_condition=none,
    compare_row_condition=none
) %}
{%- set groups = range(1, (group_by or []) | length + 1) -%}
with counted as (
    {{ dbt_expectations._measured(model, "count(*)", group_by, row_condition) }}
),

compared as (
    {{ dbt_expectations._measured(
        compare_model,
        "count(*) * " ~ factor,
        compare_group_by or group_by,
        compare_row_condition or row_condition
    ) }}
),

matched as (
    select
        {%- for number in groups %}
        coalesce(counted.col_{{ number }}, compared.col_{{ number }}) as col_{{ number }},
        {%- endfor %}
        counted.expression,
        compared.expression as compare_expression,
        abs(coalesce(counted.expression, 0) - coalesce(compared.expression, 0)) as expression_difference
    from counted
    full outer join compared
        on true
        {%- for number in groups %}
        and counted.col_{{ number }} = compared.col_{{ number }}
        {%- endfor %}
)

select *, expression_difference / nullif(expression * 1.0, 0) as expression_difference_percent
from matched
where expression_difference > 0.0
{% endtest %}
