{% macro labelled_outcomes(labels) -%}
    {%- for name in labels %}
    {{ 'union all' if not loop.first }}
    select
        {{ assay._text(name) }} as label_name,
        {{ assay.quoted(assay._key_of(assay._node_named(name))) }}::varchar as label_id,
        outcome
    from {{ ref(name) }}
    {%- else %}
    select
        null::varchar as label_name,
        null::varchar as label_id,
        null::boolean as outcome
    where false
    {%- endfor %}
{%- endmacro %}


{#- The one column of a table's primary key. -#}
{% macro _key_of(node) -%}
    {%- set keys = node.primary_key | map('trim', '"') | list -%}
    {%- if keys | length != 1 -%}
        {%- do assay._refuse(node.name ~ ' needs a primary key of one column, by which its rows are named: it has ' ~ (keys | join(', ') or 'none')) -%}
    {%- endif -%}
    {{ return(keys[0]) }}
{%- endmacro %}
