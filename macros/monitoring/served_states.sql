{% macro served_states(asked, views) -%}
    {%- for view, relation in views.items() %}
    {{ 'union all' if not loop.first }}
    select
        asked.prediction_id,
        asked.feature_view,
        asked.entity_keys,
        asked.as_of,
        history.valid_from
    from {{ asked }} as asked
    inner join {{ relation }} as history
        on asked.as_of >= history.valid_from and asked.as_of < history.valid_to{{ assay._asked_for(assay._node_named(view).config.meta.feature_view['keys'], 'history') }}
    where asked.feature_view = {{ assay._text(view) }}
    {%- else %}
    select
        null::varchar as prediction_id,
        null::varchar as feature_view,
        null::varchar as entity_keys,
        null::timestamp as as_of,
        null::timestamp as valid_from
    where false
    {%- endfor %}
{%- endmacro %}
