{% macro history_of_states(states, entity_keys, columns, is_deleted=none, since=none) -%}
    {%- set keys = entity_keys | join(', ') -%}
    {%- set is_gone = ' and not ' ~ is_deleted if is_deleted -%}
with marked as (

    select
        *,
        {{ assay._differs(entity_keys) }} as _is_new_entity,
        {{ assay._differs(([is_deleted] if is_deleted else []) + columns) }} as _is_new_state
    from {{ states }}

),

numbered as (

    select
        * exclude (_is_new_entity, _is_new_state),
        _is_new_entity or _is_new_state as _opens_row
    from marked
    where _is_new_entity or _is_new_state or _updated_at = _at

),

-- The row before each, now that it is known what follows: DuckDB 1.5 repeats rows where windows look ahead.
followed as not materialized (

    select
        {%- for column in entity_keys + ['_at', '_updated_at'] + columns + ([is_deleted] if is_deleted else []) %}
        lag({{ column }}) over () as {{ column }},
        {%- endfor %}
        lag(_opens_row) over () as _opens_row,
        lag(_opens_row) over () and _opens_row as _is_whole_row,
        case when {{ assay._differs(entity_keys) }} then {{ assay.end_of_time() }} else _at end as _next_at
    from numbered

),

-- What is gathered into rows, or is to be written last.
rest as (

    select
        *,
        count(*) filter (where _opens_row) over (rows between unbounded preceding and current row) as _state_number
    from followed
    where not _is_whole_row{{ ' or _next_at >= ' ~ since if since }}

),

-- Values that arrive again open no row; when they did is kept, so that their age is known at every instant.
final as (
    {% for table in ['followed', 'rest'] if since or table == 'followed' %}
    select
        {{ keys }},
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        _at as valid_from,
        _next_at as valid_to,
        _updated_at as updated_at,
        null::timestamp[] as confirmed_at
    from {{ table }}
    where _is_whole_row{{ is_gone }}{{ ' and _next_at < ' ~ since if since and table == 'followed' }}

    union all
    {% endfor %}
    select
        {{ keys }},
        {%- for column in columns %}
        any_value({{ column }}) as {{ column }},
        {%- endfor %}
        min(_at) as valid_from,
        max(_next_at) as valid_to,
        max(_updated_at) as updated_at,
        list(_updated_at order by _at) as confirmed_at
    from rest
    where not _is_whole_row{{ is_gone }}
    group by _state_number, {{ keys }}

)

select * from final
{%- endmacro %}


{#- Whether a row differs from the one before. Column by column: where whole rows are compared in a filter, DuckDB 1.5
    does not keep the order of what it lets through, on which everything here rests. -#}
{% macro _differs(columns) -%}
    (
        {%- for column in columns -%}
            ({{ column }} is distinct from (lag({{ column }}) over ()))
            {{- ' or ' if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}
