{% macro standing_changes(changes, key) -%}
    {%- set key = assay.quoted(key) -%}
    select * exclude (ended_keys)
    from {{ changes }}
    where not is_superseded and {{ key }} is not null

    union all by name

    select * exclude (ended_keys) replace (unnest(ended_keys) as {{ key }})
    from {{ changes }}
    where op = 't'
{%- endmacro %}
