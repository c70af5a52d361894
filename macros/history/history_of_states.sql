{% macro history_of_states(states, entity_keys, columns) -%}
    {%- set keys = entity_keys | join(', ') -%}
with marked as (

    select
        *,
        {{ assay._differs('lag', entity_keys) }} as _is_new_entity,
        {{ assay._differs('lag', ['_is_deleted'] + columns) }} as _is_new_state
    from {{ states }}

),

-- Values that arrive again open no row; when they did is kept, so that their age is known at every instant.
numbered as (

    select
        *,
        _is_new_entity or _is_new_state as _opens_row,
        count(*) filter (where _is_new_entity or _is_new_state) over (
            rows between unbounded preceding and current row
        ) as _state_number
    from marked
    where _is_new_entity or _is_new_state or _updated_at = _at

),

confirmations as (

    select
        _state_number,
        list(_at order by _at) as _confirmed_at
    from numbered
    where not _opens_row
    group by _state_number

),

bounds as not materialized (

    select
        *,
        lead(_opens_row, 1, true) over () as _is_alone
    from numbered

),

opened as not materialized (

    select
        {{ keys }},
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        _at as valid_from,
        case
            when {{ assay._differs('lead', entity_keys) }} then {{ assay.end_of_time() }}
            else lead(_at) over ()
        end as valid_to,
        _updated_at as updated_at,
        _is_deleted,
        _is_alone,
        _state_number
    from bounds
    where _opens_row

),

-- Rows that nothing confirmed, nearly all there are, are spared the join.
final as (

    select
        * exclude (_is_deleted, _is_alone, _state_number),
        null::timestamp[] as confirmed_at
    from opened
    where _is_alone and not _is_deleted

    union all

    select
        opened.* exclude (_is_deleted, _is_alone, _state_number)
            replace (confirmations._confirmed_at[-1] as updated_at),
        list_prepend(opened.updated_at, confirmations._confirmed_at) as confirmed_at
    from opened
    inner join confirmations on opened._state_number = confirmations._state_number
    where not opened._is_alone and not opened._is_deleted

)

select * from final
{%- endmacro %}


{#- Column by column: where whole rows are compared in a filter, DuckDB 1.5 does not keep the order of what it lets
    through, on which everything here rests. -#}
{% macro _differs(neighbour, columns) -%}
    (
        {%- for column in columns -%}
            ({{ column }} is distinct from ({{ neighbour }}({{ column }}) over ()))
            {{- ' or ' if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}
