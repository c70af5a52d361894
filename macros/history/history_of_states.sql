{#- Long because it is one query over rows in one order, which a step apart from it could lose. -#}
{% macro history_of_states(states, entity_keys, columns, is_deleted=none, since=none, are_sorted=false) -%}
    {%- set keys = assay.quoted(entity_keys) -%}
    {%- set is_gone = ' and not ' ~ assay.quoted(is_deleted) if is_deleted -%}
{% if are_sorted -%}
with marked as (
{%- else -%}
-- What comes last is seen from a row behind it, of no entity.
with in_order as (

    select * from {{ states }}

    union all by name

    select timestamp 'infinity' as _at

    order by {{ keys }} nulls last, _at

),

marked as (
{%- endif %}

    select
        *,
        {{ assay._differs(entity_keys) }} as _is_new_entity,
        {{ assay._differs(([is_deleted] if is_deleted else []) + columns) }} as _is_new_state
    from {{ states if are_sorted else 'in_order' }}

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
        {{ assay._before(column) }} as {{ assay.quoted(column) }},
        {%- endfor %}
        {{ assay._before('_opens_row') }} as _opens_row,
        {{ assay._before('_opens_row') }} and _opens_row as _is_whole_row,
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
        {{ assay.quoted(column) }},
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
        any_value({{ assay.quoted(column) }}) as {{ assay.quoted(column) }},
        {%- endfor %}
        min(_at) as valid_from,
        max(_next_at) as valid_to,
        max(_updated_at) as updated_at,
        -- The times only grow: to sort each list costs a fifth of gathering it in order.
        list_sort(list(_updated_at)) as confirmed_at
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
            ({{ assay.quoted(column) }} is distinct from ({{ assay._before(column) }}))
            {{- ' or ' if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}


{#- The value that the row before has, in the order of the rows as they come. -#}
{% macro _before(column) -%}
    lag({{ assay.quoted(column) }}) over ()
{%- endmacro %}


{#- Columns are called each by a name of its own, and by none that a history, or the query that makes it, gives. -#}
{% macro _check_names(entity_keys, columns) -%}
    {%- set own = [
        'valid_from', 'valid_to', 'updated_at', 'confirmed_at', '_arrival', '_arrivals', '_arrived', '_assay_cut', '_at',
        '_available_at', '_begins_at', '_block', '_change', '_changed_at', '_come', '_end', '_ends_at', '_ends_row', '_event_at',
        '_first', '_from', '_gone', '_happened', '_has_ended', '_has_order', '_hash', '_is_added', '_is_alone', '_is_apart',
        '_is_deleted', '_is_deletion', '_is_last',
        '_is_late', '_is_needed', '_is_new_entity', '_is_new_state', '_is_whole_row', '_is_written', '_last', '_left', '_level', '_missed', '_move',
        '_next_at', '_number', '_opens_row', '_order', '_place', '_position', '_rank', '_right', '_span', '_state',
        '_state_number', '_to', '_updated_at', '_value',
    ] -%}
    {%- set names = [] -%}
    {%- for name in entity_keys + columns -%}
        {%- set folded = assay._folded(name) -%}
        {%- if folded in own or folded.startswith('_input_') or folded.startswith('_recent_') -%}
            {%- do assay._refuse('a history has a column ' ~ name ~ ' of its own: give yours another name') -%}
        {%- endif -%}
        {%- do names.append((name, 'entity key' if loop.index <= entity_keys | length else 'column')) -%}
    {%- endfor -%}
    {%- do assay._refuse_doubles(names) -%}
{%- endmacro %}
