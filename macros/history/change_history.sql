{% macro change_history(relation, entity_keys, available_at, columns, is_deleted=none) -%}
    {%- set keys = entity_keys | join(', ') -%}
    {%- set deleted = is_deleted or 'false' -%}
with changes as (

    select
        {{ keys }},
        {{ available_at }} as _available_at,
        {{ deleted }} as _is_deleted,
        -- What a deleted entity last looked like is no part of its state.
        case when not {{ deleted }} then struct_pack({% for column in columns %}{{ column }} := {{ column }}{{ ', ' if not loop.last }}{% endfor %}) end as _state
    from {{ relation }}

),

marked as (

    select
        *,
        ((_is_deleted, _state) is distinct from lag((_is_deleted, _state)) over by_time) as _is_change
    from changes
    window by_time as (partition by {{ keys }} order by _available_at)

),

numbered as (

    select
        *,
        count_if(_is_change) over (partition by {{ keys }} order by _available_at) as _state_number
    from marked

),

-- Values that are repeated confirm the state they repeat.
states as (

    select
        {{ keys }},
        _state,
        _is_deleted,
        min(_available_at) as valid_from,
        max(_available_at) as updated_at
    from numbered
    group by {{ keys }}, _state_number, _state, _is_deleted

),

ranges as (

    select
        *,
        coalesce(lead(valid_from) over (partition by {{ keys }} order by valid_from), {{ assay.end_of_time() }}) as valid_to
    from states

),

final as (

    select
        {{ keys }},
        {%- for column in columns %}
        _state.{{ column }} as {{ column }},
        {%- endfor %}
        valid_from,
        valid_to,
        updated_at
    from ranges
    where not _is_deleted

)

select * from final
{%- endmacro %}
