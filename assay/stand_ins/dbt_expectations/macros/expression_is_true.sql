{% test expression_is_true(
    model, expression, test_condition="= true", group_by_columns=none, row_condition=none
) %}
with measured as (
    {{ dbt_expectations._measured(model, expression, group_by_columns, row_condition) }}
)

select *
from measured
where not (expression {{ test_condition }})
{% endtest %}
