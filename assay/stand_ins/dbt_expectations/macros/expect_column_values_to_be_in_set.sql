{% test expect_column_values_to_be_in_set(
    model, column_name, value_set, quote_values=true, row_condition=none
) %}
with found as (
    select {{ column_name }} as value_field
    from {{ model }}
    {%- if row_condition %}
    where {{ row_condition }}
    {%- endif %}
),

allowed as (
    {%- for value in value_set %}
    select {% if quote_values %}'{{ value }}'::varchar{% else %}{{ value }}{% endif %} as value_field
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select found.value_field
from found
left join allowed on found.value_field = allowed.value_field
where allowed.value_field is null
{% endtest %}
