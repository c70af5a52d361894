{% test expect_table_columns_to_contain_set(model, column_list, transform="upper") %}
    {%- set present = adapter.get_columns_in_relation(model) | map(attribute="name") | map(transform) | list -%}
    {%- for column in column_list | map(transform) | reject("in", present) %}
select '{{ column }}' as missing_column
union all
    {%- endfor %}
select null as missing_column
where false
{% endtest %}
