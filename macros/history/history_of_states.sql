{% macro history_of_states(states, entity_keys, columns) -%}
    {%- set keys = entity_keys | join(', ') -%}
with marked as (

    select
        *,
        {{ assay._differs('lag', entity_keys) }} as _is_new_entity,
        {{ assay._differs('lag', ['_is_deleted'] + columns) }} as _is_new_state
    from {{ states }}

),

numbered as (

    select
        *,
        _is_new_entity or _is_new_state as _opens_row,
        count(*) filter (where _is_new_entity or _is_new_state) over (
            rows between unbounded preceding and current row
        ) as _state_number
    from marked

),

-- Values that arrive again open no row; when they did is kept, so that their age is known at every instant.
confirmations as (

    select
        _state_number,
        list(_at order by _at) as _confirmed_at
    from numbered
    where not _opens_row and _updated_at = _at
    group by _state_number

),

opened as (

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
        _updated_at,
        _is_deleted,
        _state_number
    from numbered
    where _opens_row

),

final as (

    select
        {%- for key in entity_keys %}
        opened.{{ key }},
        {%- endfor %}
        {%- for column in columns %}
        opened.{{ column }},
        {%- endfor %}
        opened.valid_from,
        opened.valid_to,
        coalesce(confirmations._confirmed_at[-1], opened._updated_at) as updated_at,
        case
            when confirmations._confirmed_at is not null
                then list_prepend(opened._updated_at, confirmations._confirmed_at)
        end as confirmed_at
    from opened
    left join confirmations on opened._state_number = confirmations._state_number
    where not opened._is_deleted

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
