{% macro change_history(relation, entity_keys, available_at, columns, is_deleted=none) -%}
    {%- set keys = entity_keys | join(', ') -%}
    {%- set deleted = is_deleted or 'false' -%}
with changes as (

    select
        {{ keys }},
        {{ available_at }} as _at,
        {{ deleted }} as _is_deleted,
        -- What a deleted entity last looked like is no part of its state.
        case when not {{ deleted }} then struct_pack({% for column in columns %}{{ column }} := {{ column }}{{ ', ' if not loop.last }}{% endfor %}) end as _state
    from {{ relation }}
    where
        {%- for key in entity_keys %}
        {{ 'and ' if not loop.first }}{{ key }} is not null
        {%- endfor %}

),

-- Of changes at one instant the greatest stands, whatever their order; a deletion is greater than any.
instants as (

    select
        {{ keys }},
        _at,
        max(struct_pack(_is_deleted, _state)) as _last
    from changes
    group by {{ keys }}, _at

),

states as (

    select
        {{ keys }},
        _at,
        _at as _updated_at,
        _last._is_deleted
        {%- for column in columns %},
        _last._state.{{ column }} as {{ column }}
        {%- endfor %}
    from instants
    order by {{ keys }}, _at

),

final as (

    {{ assay.history_of_states('states', entity_keys, columns) }}

)

select * from final
{%- endmacro %}
