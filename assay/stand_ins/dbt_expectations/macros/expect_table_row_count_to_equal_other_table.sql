{% test expect_table_row_count_to_equal_other_table(
    model,
    compare_model,
    group_by=none,
    compare_group_by=none,
    factor=1,
    row_condition=none,
    compare_row_condition=none
) %}
with counted as (
    {{ dbt_expectations._measured(model, "count(*)", group_by, row_condition) }}
),

compared as (
    {{ dbt_expectations._measured(
        compare_model, "count(*)", compare_group_by or group_by, compare_row_condition or row_condition
    ) }}
),

matched as (
    select
        {%- for column in group_by or [] %}
        coalesce(counted.col_{{ loop.index }}, compared.col_{{ loop.index }}) as col_{{ loop.index }},
        {%- endfor %}
        coalesce(counted.expression, 0) as actual_rows,
        coalesce(compared.expression, 0) * {{ factor }} as expected_rows
    from counted
    full outer join compared
        on true
        {%- for column in group_by or [] %}
        and counted.col_{{ loop.index }} = compared.col_{{ loop.index }}
        {%- endfor %}
)

select *
from matched
where actual_rows <> expected_rows
{% endtest %}
