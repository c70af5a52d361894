{% macro no_rows() -%}
    select
        {%- for column in model.columns.values() %}
        null::{{ column.data_type }} as {{ assay.quoted(column.name) }}{{ ',' if not loop.last }}
        {%- else %}
        null as nothing
        {%- endfor %}
    where false
{%- endmacro %}
