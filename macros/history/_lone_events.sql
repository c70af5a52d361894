{#- Events that are alone in all windows: what they bring about is known without a look at any other. -#}


{#- All events as `parted_events`, and those that others may count beside as `events`. The rows of an event that is alone
    are whole where each of its states differs from the one before, and so does the one that follows. -#}
{% macro _parted_events(plan) -%}
marked_events as (

    select
        *,
        {{ assay._differs(plan.entity_keys) }} as _is_new_entity,
        -- What came before has left all windows by then, unless something before came sooner than it happened.
        (
            {{ assay._differs(plan.entity_keys) }}
            or _available_at > {{ assay._before('_available_at') }} + {{ plan.lengths[plan.bounded[-1]] }}
        )
        and count(*) filter (_event_at > _available_at) over (rows between unbounded preceding and current row) = 0 as _is_apart,
        {{ assay._always_changes(plan) }} as _opens_row
    from arrived

),

-- The row before each, now that it is known what follows.
followed_events as (

    select
        {%- for column in plan.entity_keys + ['_event_at', '_available_at', '_is_new_entity'] + plan.inputs.values() | rejectattr('counts_rows') | map(attribute='column') | list %}
        {{ assay._before(column) }} as {{ assay.quoted(column) }},
        {%- endfor %}
        {{ assay._before('_is_apart') }} and _is_apart as _is_alone,
        {{ assay._before('_is_apart') }} and {{ assay._before('_opens_row') }} and _is_apart and (_is_new_entity or _opens_row) as _is_whole_row,
        case when _is_new_entity then {{ assay.end_of_time() }} else _available_at end as _next_at
    from marked_events

),

-- What is before a whole row ends there.
parted_events as materialized (

    select
        * exclude (_is_new_entity),
        (0{% for exit in assay._exits_of_one(plan) %} + ({{ exit.at }} <= _available_at)::int{% endfor %})::tinyint as _missed,
        _is_whole_row and not _is_new_entity and not {{ assay._before('_is_whole_row') }} as _ends_row
    from followed_events

),

events as materialized (

    select * exclude (_missed, _next_at, _is_alone, _is_whole_row, _ends_row)
    from parted_events
    where not _is_alone

),
{%- endmacro %}


{#- Whether an event that is alone changes the state when it enters and when it leaves any window, and would do the former
    beside others that become known with it. Of sums nobody knows: they may be none. -#}
{% macro _always_changes(plan) -%}
    {%- set changes = [] -%}
    {%- for exit in assay._exits_of_one(plan) -%}
        {%- set values = [] -%}
        {%- for input in plan.inputs.values() if input.windows | select('in', exit.windows) | list and input.aggregates | reject('in', ('sum', 'stddev')) | list -%}
            {%- do values.append('true' if input.counts_rows else input.column ~ ' is not null') -%}
        {%- endfor -%}
        {%- do changes.append('(' ~ (values | join(' or ') or 'false') ~ ')') -%}
        {%- if loop.last -%}
            {%- do changes.append(exit.at ~ ' > _available_at') -%}
        {%- endif -%}
    {%- endfor -%}
    {{ changes | join(' and ') or 'false' }}
{%- endmacro %}


{#- The lengths of windows, shortest first, each with all windows that are as long. An event alone has no deviation. -#}
{% macro _exits_of_one(plan) -%}
    {%- set exits = [] -%}
    {%- for input in plan.inputs.values() if input.aggregates != ['stddev'] -%}
        {%- do exits.extend(input.windows) -%}
    {%- endfor -%}
    {%- set found = [] -%}
    {%- for window in plan.bounded if window in exits -%}
        {%- if found and assay._microseconds(found[-1].windows[0]) == assay._microseconds(window) -%}
            {%- do found[-1].windows.append(window) -%}
        {%- else -%}
            {%- do found.append({'windows': [window], 'at': assay._leaves_at(window)}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- The states of all entities, but those of whole rows: of events that others count beside, and of each that is alone. -#}
{% macro _states_of_all(plan) -%}
    {%- set exits = assay._exits_of_one(plan) -%}
states_of_one as not materialized (
    {% for number in range(exits | length + 1) %}
    {{ 'union all' if number }}

    {{ assay._state_of_one(plan, exits, number) }}
    {% endfor %}
),

states as (

    select *, false as _is_written
    from states_of_crowds

    union all by name

    select * exclude (_next_at, _is_whole_row), false as _is_written
    from states_of_one
    where not _is_whole_row

    union all by name

    select {{ plan.entity }}, _available_at as _at, true as _is_written
    from parted_events
    where _ends_row

),
{%- endmacro %}


{#- What an event that is alone sets all columns to when it enters, or at the exit of a number; and until when. -#}
{% macro _state_of_one(plan, exits, number) -%}
    {%- set exit_of = {} -%}
    {%- for exit in exits -%}
        {%- do exit_of.update(dict.fromkeys(exit.windows, loop.index)) -%}
    {%- endfor -%}
    select
        {{ plan.entity }},
        {{ exits[number - 1].at if number else '_available_at' }} as _at,
        _available_at as _updated_at,
        {% if exits[number:] and not number -%}
        case _missed
            {%- for exit in exits %}
            when {{ loop.index0 }} then {{ exit.at }}
            {%- endfor %}
        end
        {%- else -%}
        {{ exits[number].at if exits[number:] else '_next_at' }}
        {%- endif %} as _next_at,
        _is_whole_row
        {%- for name, input in plan.inputs.items() %}
        {%- set has_value = '1' if input.counts_rows else '(' ~ input.column ~ ' is not null)::bigint' %}
        {%- set addend = assay._addend(name, input) if not input.counts_rows %}
        {%- for aggregate in input.aggregates %}
        {%- for window in input.windows %}
        {%- set counts = '_missed < ' ~ exit_of.get(window) if not number else exit_of.get(window, 0) > number %},
        {% if aggregate in ('count', 'distinct_count') -%}
            case when {{ counts }} then {{ has_value }} else 0 end::bigint
        {%- elif aggregate == 'sum' -%}
            coalesce(case when {{ counts }} then {{ addend }} end, 0){{ '::' ~ input.type if input.type }}
        {%- elif aggregate == 'avg' -%}
            case when {{ counts }} then {{ addend }} end::double
        {%- elif aggregate == 'stddev' -%}
            case when {{ addend }} is null then null end::double
        {%- else -%}
            case when {{ counts }} then {{ input.column }} end
        {%- endif %} as {{ assay.quoted(name ~ '_' ~ aggregate ~ '_' ~ window) }}
        {%- endfor %}
        {%- endfor %}
        {%- endfor %}
    from parted_events
    where _is_alone
    {%- if number %} and _missed < {{ number }}{% endif %}
{%- endmacro %}


{#- Rows that need no other, of states of alone events that are none. -#}
{% macro _whole_rows(plan, ending=none) -%}
select
    {{ plan.entity }},
    {%- for column in plan.columns %}
    {{ assay.quoted(column.name) }},
    {%- endfor %}
    _at as valid_from,
    _next_at as valid_to,
    _updated_at as updated_at,
    null::timestamp[] as confirmed_at
from states_of_one
where _is_whole_row{{ ' and _next_at ' ~ ending if ending }}
{%- endmacro %}
