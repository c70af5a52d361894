{% macro known_until(relation, available_at='available_at') -%}
    {%- if var('as_of', none) -%}
        timestamp '{{ var("as_of") }}'
    {%- else -%}
        (select {{ assay.as_utc('max(' ~ assay._sql(available_at) ~ ')') }} from {{ relation }})
    {%- endif -%}
{%- endmacro %}
