{% macro rows_to_check(bronze) -%}
    select * from {{ bronze }}
    {%- if is_incremental() %}
    where file_id not in (select checked.file_id from {{ this }} as checked group by checked.file_id)
    {%- endif %}
{%- endmacro %}
