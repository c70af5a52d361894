{#- Aggregates that cannot be subtracted. What an event sets them to, when it enters and when it leaves, is computed beside
    the event; the sorted moves carry it on until the next sets it again. -#}


{#- Each such aggregate with its window, and the way it is found:
    arrivals - of all that ever arrived: what has arrived changes by arrivals alone. So does the last, while any is left;
    frames   - events that arrive in the order of what happened also leave in it: those there are a frame of rows;
    values   - modes, by how often each value is there. Where no value is there twice, it is the least. -#}
{% macro _extremes_of(inputs, lengths, bounded) -%}
    {%- set extremes = [] -%}
    {%- for input in inputs.values() -%}
        {%- set column = input.column -%}
        {%- set least = ['min'] if 'mode' in input.aggregates and 'min' not in input.aggregates else [] -%}
        {%- for aggregate in least + input.aggregates if aggregate in ('min', 'max', 'first', 'last', 'mode') -%}
            {%- for window in input.windows if window != 'all' or aggregate in input.aggregates -%}
                {%- set way = 'arrivals' if window == 'all' or aggregate == 'last' else 'values' if aggregate == 'mode' else 'frames' -%}
                {%- set name = column ~ '_' ~ window ~ '_' ~ aggregate -%}
                {%- do extremes.append({
                    'name': name, 'input': column, 'aggregate': aggregate, 'window': window, 'way': way,
                    'best': 'max' if aggregate in ('max', 'last', 'mode') else 'min',
                    'carried': column ~ '_' ~ aggregate if way == 'arrivals' else name,
                    'rank': name ~ '_rank' if way == 'frames' and aggregate == 'first',
                    'length': lengths.get(window),
                    'number': bounded.index(window) + 1 if window != 'all',
                    'move': bounded | length + extremes | length + 1 if way != 'arrivals',
                }) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(extremes) }}
{%- endmacro %}


{#- The events with what they bring about, as `valued`, and the states of what no frame gives. -#}
{% macro _valued_events(inputs, extremes, entity_keys, lengths, bounded) -%}
    {%- set keys = assay.quoted(entity_keys) -%}
    {%- set framed = extremes | selectattr('way', 'equalto', 'frames') | list -%}
    {%- set in_frame = 'partition by ' ~ keys ~ ', _is_late order by _number rows between' -%}
{{ assay._ranked_events(inputs, framed, keys) }}
{% if framed %}
{{ assay._framed_events(framed, keys, bounded) }}
{% endif %}
valued as (

    select
        {{ keys }},
        _event_at,
        _available_at
        {%- if framed %},
        _is_late
        {%- endif %}
        {%- for input in inputs.values() if not input.counts_rows %},
        {{ input.column }}
        {%- endfor %}
        {%- for input in inputs.values() if 'd' in input.totals %}
        {%- set column = input.column %},
        -- A value counts from where it was in no window until its last occurrence leaves.
        case
            when {{ column }} is null then 0
            when {{ column }}_before is null then {{ bounded | length + 1 }}
            else {{ assay._windows_left(column ~ '_before', lengths, bounded) }}
        end::tinyint as {{ column }}_new
        {%- for window in bounded %},
        ({{ column }} is not null and ({{ column }}_after is null or {{ column }}_after >= _event_at + {{ lengths[window] }}))::tinyint as {{ column }}_last_{{ window }}
        {%- endfor %}
        {%- endfor %}
        {%- for carried in extremes | selectattr('way', 'equalto', 'arrivals') | map(attribute='carried') | unique %}
        {%- set extreme = extremes | selectattr('carried', 'equalto', carried) | first %},
        {{ assay._best(extreme, {'mode': '(' ~ extreme.input ~ '_times << 32) - ' ~ extreme.input ~ '_place'}) }} over (
            partition by {{ keys }} order by _available_at
        ) as {{ carried }}
        {%- endfor %}
        {%- for extreme in framed %}
        {%- for part, best in [(extreme.name, assay._best(extreme)), (extreme.rank, extreme.best ~ '(' ~ extreme.input ~ '_rank)')] if part %},
        {{ best }} over (
            {{ in_frame }} greatest(0, _number - _input_gone_{{ extreme.window }} - 1) preceding and (_come - _number) following
        ) as {{ part }}_in,
        {{ best }} over (
            {{ in_frame }} greatest(0, _gone - _number + 1) following and greatest(0, _input_come_{{ extreme.window }} - _number) following
        ) as {{ part }}_out
        {%- endfor %}
        {%- endfor %}
    from {{ 'framed' if framed else 'ranked' }}

),
{% for extreme in extremes if extreme.move %}
{{ assay._recurring_spans(extreme, keys) if extreme.way == 'values' else assay._late_spans(extreme, keys) }}

{{ assay._states_of_spans(extreme, entity_keys) }}
{%- endfor %}
{%- endmacro %}


{#- The events with what frames and comparisons need: which are late, the order of values, where they were before. -#}
{% macro _ranked_events(inputs, framed, keys) -%}
ranked as (

    select
        *
        {%- if framed %},
        coalesce(
            _event_at < max(_event_at) over (
                partition by {{ keys }} order by _available_at, _event_at rows between unbounded preceding and 1 preceding
            ),
            false
        ) as _is_late,
        -- Whole numbers, for which the ends of a range are found in half the time.
        epoch_us(_event_at) as _happened,
        epoch_us(_available_at) as _arrived
        {%- endif %}
        {%- for input in inputs.values() %}
        {%- set column = input.column %}
        {%- if 'd' in input.totals %},
        max(_event_at) over (
            partition by {{ keys }}, {{ column }} order by _available_at, _event_at rows between unbounded preceding and 1 preceding
        ) as {{ column }}_before,
        min(_available_at) over (
            partition by {{ keys }}, {{ column }} order by _event_at, _available_at rows between 1 following and unbounded following
        ) as {{ column }}_after
        {%- endif %}
        {%- if 'first' in input.aggregates or 'last' in input.aggregates %},
        case when {{ column }} is not null then row_number() over (partition by {{ keys }} order by _event_at, {{ column }}) end as {{ column }}_rank
        {%- endif %}
        {%- if 'mode' in input.aggregates %},
        dense_rank() over (partition by {{ keys }} order by {{ column }}) as {{ column }}_place,
        count({{ column }}) over (partition by {{ keys }}, {{ column }} order by _available_at) as {{ column }}_times,
        count({{ column }}) over (partition by {{ keys }}, {{ column }}) > 1 as {{ column }}_recurs
        {%- endif %}
        {%- endfor %}
    from events

),
{%- endmacro %}


{% macro _framed_events(framed, keys, bounded) -%}
    {%- set alike = 'partition by ' ~ keys ~ ', _is_late' -%}
-- Of the events that are not late, those that count are a frame: they have come by then, and the ones before have left.
framed as (

    select
        *,
        row_number() over ({{ alike }} order by _available_at, _event_at) as _number,
        count(*) over ({{ alike }} order by _happened) as _gone,
        count(*) over ({{ alike }} order by _arrived) as _come
        {%- for window in bounded if window in framed | map(attribute='window') %},
        count(*) over (
            {{ alike }} order by _happened
            range between unbounded preceding and greatest(0, {{ assay._microseconds(window) }} - _arrived + _happened) preceding
        ) as {{ '_input_gone_' ~ window }},
        count(*) over (
            {{ alike }} order by _arrived
            range between unbounded preceding and greatest(0, {{ assay._microseconds(window) }} - _arrived + _happened) following
        ) as {{ '_input_come_' ~ window }}
        {%- endfor %}
    from ranked

),
{%- endmacro %}


{#- The value that is the best by its rank; of the least and the greatest it is the rank. -#}
{% macro _best(extreme, ranks={}) -%}
    {%- set rank = ranks.get(extreme.aggregate, extreme.input ~ '_rank') -%}
    {%- if extreme.aggregate in ('min', 'max') -%}
        {{ extreme.best }}({{ extreme.input }})
    {%- else -%}
        arg_{{ extreme.best }}({{ extreme.input }}, {{ rank }})
    {%- endif -%}
{%- endmacro %}


{#- What is carried on from the last move that sets it: pairs of a name and an expression. -#}
{% macro _held_columns(extremes) -%}
    {%- set held = {} -%}
    {%- for extreme in extremes -%}
        {%- set own = '_move = ' ~ extreme.move -%}
        {%- if extreme.way == 'arrivals' -%}
            {%- do held.update({extreme.carried ~ '_held': 'case when _move = 0 then ' ~ extreme.carried ~ ' end'}) -%}
            {%- if extreme.window == 'all' -%}
                {%- do held.update({extreme.carried ~ '_any': 'case when _move = 0 then ' ~ extreme.carried ~ ' is not null end'}) -%}
            {%- endif -%}
        {%- elif extreme.way == 'values' -%}
            {%- do held.update({
                extreme.name ~ '_held': 'case when ' ~ own ~ ' then ' ~ extreme.name ~ ' end',
                extreme.name ~ '_any': 'case when ' ~ own ~ ' then ' ~ extreme.name ~ ' is not null end',
            }) -%}
        {%- else -%}
            {%- for part in [extreme.name, extreme.rank] if part -%}
                {%- do held.update({
                    part ~ '_held': 'case when (_move = 0 and _missed < ' ~ extreme.number ~ ' or _move = ' ~ extreme.number ~ ') and not _is_late then ' ~ part ~ ' end',
                    part ~ '_late': 'case when ' ~ own ~ ' then ' ~ part ~ ' end',
                }) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(held) }}
{%- endmacro %}


{#- The value of what is held, if any event counts: of those in order (o) and those that are late (l) the better one. -#}
{% macro _extreme_value(extreme, least=none) -%}
    {%- set total = extreme.input ~ '_' ~ extreme.window ~ '_' -%}
    {%- if extreme.way == 'frames' -%}
        {%- set rank = extreme.rank or extreme.name -%}
        case
            when {{ total }}l > 0 and ({{ total }}o = 0 or {{ rank }}_late {{ '<' if extreme.best == 'min' else '>' }} {{ rank }}_held) then {{ extreme.name }}_late
            when {{ total }}o > 0 then {{ extreme.name }}_held
        end
    {%- elif extreme.way == 'values' -%}
        case
            when {{ extreme.name }}_any then {{ extreme.name }}_held
            else {{ assay._extreme_value(least) }}
        end
    {%- elif extreme.window == 'all' -%}
        case when {{ extreme.carried }}_any then {{ extreme.carried }}_held end
    {%- else -%}
        case when {{ total }}c > 0 then {{ extreme.carried }}_held end
    {%- endif -%}
{%- endmacro %}


{#- How often each value is there, as long as it is there more than once. -#}
{% macro _recurring_spans(extreme, keys) -%}
    {%- set name, input = extreme.name, extreme.input -%}
{{ name }}_moves as (

    select {{ keys }}, {{ input }} as _value, {{ input }}_place as _place, _available_at as _at, 1 as _change
    from ranked
    where {{ input }}_recurs and _event_at + {{ extreme.length }} > _available_at

    union all

    select {{ keys }}, {{ input }}, {{ input }}_place, _event_at + {{ extreme.length }}, -1
    from ranked
    where {{ input }}_recurs and _event_at + {{ extreme.length }} > _available_at

),

{{ name }}_spans as (

    select
        {{ keys }},
        _at as _from,
        lead(_at) over by_time as _to,
        ((sum(_change) over by_time)::bigint << 32) - _place as _rank,
        _value
    from (select * exclude (_change), sum(_change) as _change from {{ name }}_moves group by all) as changes
    window by_time as (partition by {{ keys }}, _place order by _at)
    -- It is there more than once.
    qualify _rank > 1::bigint << 32

),
{%- endmacro %}


{#- The late events, as long as each counts. -#}
{% macro _late_spans(extreme, keys) -%}
    {%- set name, input = extreme.name, extreme.input -%}
{{ name }}_spans as (

    select
        {{ keys }},
        _available_at as _from,
        _event_at + {{ extreme.length }} as _to,
        {{ input ~ '_rank' if extreme.rank else input }} as _rank,
        {{ input }} as _value
    from ranked
    where _is_late and {{ input }} is not null and _event_at + {{ extreme.length }} > _available_at

),
{%- endmacro %}


{#- Long because its steps are one algorithm: the best of what holds for a span each, at every instant where one begins or ends. -#}
{% macro _states_of_spans(extreme, entity_keys) -%}
    {%- set keys = assay.quoted(entity_keys) -%}
    {%- set name, best = extreme.name, extreme.best -%}
{{ name }}_instants as (

    select *, row_number() over (order by {{ keys }}, _at) as _position
    from (
        select {{ keys }}, _from as _at from {{ name }}_spans
        union
        select {{ keys }}, _to from {{ name }}_spans
    ) as instants

),

-- A segment tree: each span is cut into blocks of 1, 2, 4, ... aligned positions, at most two of a size.
{{ name }}_cut as (

    select
        *,
        (_first + (1 << _level) - 1) >> _level as _left,
        _end >> _level as _right
    from (
        select *, unnest(range(0, 1 + floor(log2(_end - _first))::bigint)) as _level
        from (
            select _rank, _value, first_instants._position as _first, last_instants._position as _end
            from {{ name }}_spans as spans
            inner join {{ name }}_instants as first_instants
                on spans._from = first_instants._at{{ assay._same_entity(entity_keys, 'spans', 'first_instants') }}
            inner join {{ name }}_instants as last_instants
                on spans._to = last_instants._at{{ assay._same_entity(entity_keys, 'spans', 'last_instants') }}
        ) as positions
    ) as levels

),

{{ name }}_blocks as (

    select
        _level,
        _block,
        {{ best }}(_rank) as _rank,
        arg_{{ best }}(_value, _rank) as _value
    from (
        select _level, _left as _block, _rank, _value from {{ name }}_cut where _left < _right and _left % 2 = 1
        union all
        select _level, _right - 1 as _block, _rank, _value from {{ name }}_cut where _left < _right and _right % 2 = 1
    ) as blocks
    group by _level, _block

),

{{ name }}_states as (

    select {{ keys }}, _at, found._rank, found._value
    from {{ name }}_instants as instants
    left join (
        select
            asked._position,
            {{ best }}(blocks._rank) as _rank,
            arg_{{ best }}(blocks._value, blocks._rank) as _value
        from (
            select _position, unnest(range(0, 1 + (select max(_level) from {{ name }}_blocks))) as _level
            from {{ name }}_instants
        ) as asked
        inner join {{ name }}_blocks as blocks
            on asked._level = blocks._level and asked._position >> asked._level = blocks._block
        group by asked._position
    ) as found
        on instants._position = found._position

),
{%- endmacro %}
