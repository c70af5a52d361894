{% macro change_history(relation, entity_keys, available_at, columns, is_deleted=none) -%}
    {%- set rows = {
        'relation': relation | string, 'entity_keys': entity_keys, 'available_at': available_at, 'columns': columns,
        'is_deleted': is_deleted or 'false', 'where': none,
    } -%}
    {%- do assay._register_history(assay._change_rows, rows, [available_at, rows.is_deleted] + columns, columns | length) -%}
    {{ assay._change_rows(**rows) }}
{%- endmacro %}


{% macro _change_rows(relation, entity_keys, available_at, columns, is_deleted, where, increment=none, since=none) -%}
    {%- set keys = entity_keys | join(', ') -%}
with changes as (

    select
        {{ keys }},
        {{ available_at }} as _at,
        {{ is_deleted }} as _is_deleted,
        -- What a deleted entity last looked like is no part of its state.
        case when not {{ is_deleted }} then struct_pack({% for column in columns %}{{ column }} := {{ column }}{{ ', ' if not loop.last }}{% endfor %}) end as _state
    from {{ relation }}
    {%- if increment %}
    semi join {{ increment.touched }} using ({{ keys }})
    {%- endif %}
    where
        {{ assay._is_event(entity_keys, where) }}
        {%- if increment %}
        and {{ available_at }} >= {{ increment.cut }}
        {%- endif %}

),
{% if increment %}
{{ assay._seeds(entity_keys, increment) }}
{% endif %}
-- Of changes at one instant the greatest stands, whatever their order; a deletion is greater than any.
instants as (

    select
        {{ keys }},
        _at,
        max(struct_pack(_is_deleted, _state)) as _last
    from changes
    group by {{ keys }}, _at

),

{{ 'computed' if increment else 'states' }} as (

    select
        {{ keys }},
        _at,
        _at as _updated_at,
        _last._is_deleted
        {%- for column in columns %},
        _last._state.{{ column }} as {{ column }}
        {%- endfor %}
    from instants

    -- A row behind all others, of no entity: what comes last is seen from there.
    union all by name

    select timestamp 'infinity' as _at

    order by {{ keys }} nulls last, _at

),
{% if increment %}
{{ assay._states_since(entity_keys, columns, increment, '_is_deleted') }}
{% endif %}
final as (

    {{ assay.history_of_states('states', entity_keys, columns, '_is_deleted', since) }}

)

select * from final
{%- endmacro %}
