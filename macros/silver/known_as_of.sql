{% macro known_as_of(available_at='available_at') -%}
    {%- if var('as_of', none) -%}
        {{ assay.as_utc(available_at) }} <= timestamp '{{ var("as_of") }}'
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
