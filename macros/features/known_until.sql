{% macro known_until(relation, available_at='available_at') -%}
    {%- if var('as_of', none) -%}
        timestamp '{{ var("as_of") }}'
    {%- else -%}
        (select max({{ available_at }}) from {{ relation }})
    {%- endif -%}
{%- endmacro %}
