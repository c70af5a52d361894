{% test expect_table_columns_to_contain_set(model, column_list, transform="upper") %}
{%- set present = adapter.get_columns_in_relation(model) | map(attribute="name") | map(transform) | list if execute else [] -%}
with wanted as (
    {%- for column in column_list | map(transform) %}
    select '{{ column }}'::varchar as input_column
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

present as (
    {%- for column in present %}
    select '{{ column }}'::varchar as relation_column
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select wanted.input_column, present.relation_column
from wanted
left join present on wanted.input_column = present.relation_column
where present.relation_column is null
{% endtest %}
