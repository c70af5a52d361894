{% macro kept_rows(checked) -%}
with checked as (

    select * from {{ checked }}

),

final as (

    select * exclude (file_id, rule_ids)
    from checked
    where rule_ids is null

)

select * from final
{%- endmacro %}
