{#- The steps from events to states: what enters and leaves, in order; what is carried on; totals; a state for each instant. -#}


{% macro _moves(plan, increment) -%}
-- An event enters when it becomes known, and leaves each window whose end it does not come after.
moves as (

    select
        {{ plan.entity }},
        _available_at as _at,
        0::smallint as _move,
        {{ assay._windows_left('_event_at', plan.lengths, plan.bounded) }} as _missed
        {%- for column in plan.moved %},
        {{ column.enters }} as {{ column.name }}
        {%- endfor %}
    from {{ 'valued' if plan.is_valued else 'events' }}

    {% for window in plan.bounded %}
    union all

    select
        {{ plan.entity }},
        {{ assay._leaves_at(window) }} as _at,
        {{ loop.index }}::smallint as _move,
        0::tinyint as _missed
        {%- for column in plan.moved %},
        {{ column.leaves.get(window, 'null') }}
        {%- endfor %}
    from {{ 'valued' if plan.is_valued else 'events' }}
    where {{ assay._leaves_at(window) }} > _available_at
    {% endfor %}
    {%- for extreme in plan.extremes if extreme.move %}
    union all by name

    select {{ plan.entity }}, _at, {{ extreme.move }}::smallint as _move, _value as {{ extreme.name }}{% if extreme.rank %}, _rank as {{ extreme.rank }}{% endif %}
    from {{ extreme.name }}_states
    {% endfor %}
    {%- if increment %}
    union all by name

    -- The last arrival before, of an event that may count no longer.
    select {{ plan.entity }}, _arrivals[-1] as _at, -1::smallint as _move
    from seeds
    {% endif %}

    -- What comes last is seen from a row behind it, of no entity: one for each time that rows look back.
    union all by name

    select unnest([timestamp 'infinity'{{ ', null' if plan.are_sorted }}]) as _at

),
{%- endmacro %}


{#- The moves in order, with what the last one set. -#}
{% macro _held_moves(plan) -%}
    {%- set running = 'over (rows between unbounded preceding and current row)' -%}
{% if plan.held -%}
-- One at a time: DuckDB 1.5 mixes up several that leave out NULLs where it streams them together.
{% endif -%}
sorted_moves as (

    select * from moves order by {{ plan.entity }} nulls last, _at nulls last

),
{% for name, value in plan.held.items() %}
held_{{ loop.index }} as (

    select
        *,
        last_value({{ value }} ignore nulls) {{ running }} as {{ name }}
    from {{ 'held_' ~ loop.index0 if loop.index0 else 'sorted_moves' }}

),
{% endfor %}
{%- endmacro %}


{% macro _running_totals(plan) -%}
    {%- set running = 'over (rows between unbounded preceding and current row)' -%}
-- Sorted once, and read once: what entities have in bounded windows they lose again, so no total needs a partition.
running as (

    select
        {{ plan.entity }},
        _at,
        last_value(case when _move <= 0 then _at end ignore nulls) {{ running }} as _updated_at
        {%- for total in plan.totals %},
        {{ assay._running_total(total, plan.bounded, running) }} as {{ total.name }}
        {%- endfor %}
        {%- for total in plan.unbounded %},
        case when _move = 0 then {{ total.addend }} end as {{ total.name }}_own
        {%- endfor %}
        {%- for name in plan.held %},
        {{ name }}
        {%- endfor %}
        {%- if plan.unbounded %},
        {{ assay._differs(plan.entity_keys) }} as _is_new_entity
        {%- endif %}
    from {{ 'held_' ~ plan.held | length if plan.held else 'sorted_moves' }}

),
{% if plan.unbounded %}
-- What never leaves an entity runs on into the next one: it is taken off there.
own as (

    select
        * exclude (_is_new_entity)
        replace (
            {%- for total in plan.unbounded %}
            {{ total.name }} - last_value(
                case when _is_new_entity then coalesce({{ total.name }}, 0) - coalesce({{ total.name }}_own, 0) end ignore nulls
            ) {{ running }} as {{ total.name }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
    from running

),
{% endif %}
{%- endmacro %}


{#- With `ends_after`, states of entities that are not parted may be left out that are over by that instant. -#}
{% macro _states_of_moves(plan, name, ends_after=none) -%}
    {%- set ends_after = ends_after if not plan.is_parted -%}
-- The row before each, now that it is known whether its instant is over.
before as (

    select
        {%- for column in plan.entity_keys + ['_at', '_updated_at'] + (plan.totals | map(attribute='name') | list) + plan.held.keys() | list %}
        {{ assay._before(column) }} as {{ assay.quoted(column) }},
        {%- endfor %}
        {{ assay._differs(plan.entity_keys + ['_at']) }} as _is_last
        {%- if ends_after %},
        {{ assay._differs(plan.entity_keys) }} or coalesce(_at >= {{ ends_after }}, true) as _is_needed
        {%- endif %}
    from {{ 'own' if plan.unbounded else 'running' }}

),

{{ name }} as (

    select
        {{ plan.entity }},
        _at,
        _updated_at
        {%- for column in plan.columns %},
        {{ column.expression }} as {{ assay.quoted(column.name) }}
        {%- endfor %}
    from before
    where _is_last and _at is not null{{ ' and _is_needed' if ends_after }}

),
{%- endmacro %}
