{% macro documents_to_check(bronze) -%}
    select * replace (coalesce(line_as_declared, line) as line)
    from ({{ assay.rows_to_check(bronze) }}) as landed
{%- endmacro %}
