{% macro labelled_outcomes(labels) -%}
    {%- for name in labels %}
    {{ 'union all' if not loop.first }}
    select
        {{ assay._text(name) }} as label_name,
        {{ assay.quoted(assay._key_columns(assay._node_named(name))) }}::varchar as label_id,
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
