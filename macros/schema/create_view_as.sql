{#- What dbt's `view` asks for, and `replaced_view` too. -#}
{% macro duckdb__create_view_as(relation, sql) -%}
    {{ return(dbt.duckdb__create_view_as(relation, assay._view_of_lake(relation, sql))) }}
{%- endmacro %}
