{% macro windowed_history(relation, entity_keys, event_at, available_at, measures, windows, where=none) -%}
    {%- set rows = {
        'relation': relation | string, 'entity_keys': entity_keys, 'event_at': assay.as_utc(event_at),
        'available_at': assay.as_utc(available_at), 'measures': measures, 'windows': windows, 'where': where,
    } -%}
    {%- for window in windows if not modules.re.fullmatch('all|[1-9][0-9]{0,5}[smhd]', window) -%}
        {%- do assay._refuse('the window ' ~ window ~ ' is unknown: write a whole number and s, m, h or d, such as 5m, 24h or 7d, or all') -%}
    {%- endfor -%}
    {%- set bounded = assay._shortest_first(assay._window_lengths(windows)) -%}
    {%- set inputs = assay._inputs_of(measures, windows) -%}
    {%- set columns = assay._columns_of(inputs) | map(attribute='name') | list -%}
    {%- do assay._check_names(entity_keys, columns) -%}
    {%- do assay._register_history(
        assay._windowed_rows, rows,
        [rows.event_at] + (inputs.values() | map(attribute='expression') | list),
        columns | length,
        1 + bounded | length,
    ) -%}
    {{ assay._windowed_rows(**rows) }}
{%- endmacro %}


{#- Long because it is one query, of steps that each read the one before, and the whole of it is what was measured. -#}
{% macro _windowed_rows(relation, entity_keys, event_at, available_at, measures, windows, where, increment=none, since=none) -%}
    {%- set keys = assay.quoted(entity_keys) -%}
    {%- set lengths = assay._window_lengths(windows) -%}
    {%- set bounded = assay._shortest_first(lengths) -%}
    {%- set inputs = assay._inputs_of(measures, windows) -%}
    {%- set totals = assay._totals_of(inputs) -%}
    {%- set unbounded = totals | selectattr('window', 'equalto', 'all') | list -%}
    {%- set extremes = assay._extremes_of(inputs) -%}
    {%- set columns = assay._columns_of(inputs) -%}
    {%- set are_sorted = not extremes and not increment -%}
    {%- set since_cut = '(%s >= %s or %s >= %s - %s)' % (
        available_at, increment.cut, event_at, increment.cut, lengths[bounded[-1]]
    ) if increment and 'all' not in windows -%}
    {%- set running = 'over (rows between unbounded preceding and current row)' -%}
-- In order, so that each window's exits are as well: runs are merged in half the time that sorting takes.
with events as materialized (

    select
        {{ keys }},
        {{ assay._with_end(event_at, 'event_at', relation, lengths[bounded[-1]] if bounded) }} as _event_at,
        {{ assay._with_end(available_at, 'available_at', relation) }} as _available_at
        {%- for input in inputs.values() if not input.counts_rows %},
        {{ input.expression }} as {{ input.column }}
        {%- endfor %}
    {{ assay._from_events(relation, entity_keys, where, increment, since_cut) }}
    order by {{ keys }}, _event_at

),
{% if increment %}
{{ assay._seeds(entity_keys, increment) }}
{% endif %}
-- An event enters when it becomes known, and leaves each window whose end it does not come after.
moves as (

    select
        {{ keys }},
        _available_at as _at,
        0::tinyint as _move,
        {% if bounded %}case
            {%- for window in bounded %}
            when _event_at + {{ lengths[window] }} > _available_at then {{ loop.index0 }}
            {%- endfor %}
            else {{ bounded | length }}
        end{% else %}0{% endif %}::tinyint as _missed
        {%- for name, input in inputs.items() if input.is_moved %},
        {{ assay._addend(name, input) }} as {{ input.column }}
        {%- endfor %}
    from events

    {% for window in bounded %}
    union all

    select
        {{ keys }},
        _event_at + {{ lengths[window] }} as _at,
        {{ loop.index }}::tinyint as _move,
        0::tinyint as _missed
        {%- for name, input in inputs.items() if input.is_moved %},
        {{ assay._addend(name, input) }}
        {%- endfor %}
    from events
    where _event_at + {{ lengths[window] }} > _available_at
    {% endfor %}
    {% if increment %}
    union all

    -- The last arrival before, of an event that may count no longer.
    select
        {{ keys }},
        _arrivals[-1] as _at,
        -1::tinyint as _move,
        0::tinyint as _missed
        {%- for input in inputs.values() if input.is_moved %},
        null as {{ input.column }}
        {%- endfor %}
    from seeds
    {% endif %}

    -- What comes last is seen from a row behind it, of no entity: one for each time that rows look back.
    union all by name

    select unnest([timestamp 'infinity'{{ ', null' if are_sorted }}]) as _at

),

-- Sorted once, and read once: what entities have in bounded windows they lose again, so no total needs a partition.
running as (

    select
        {{ keys }},
        _at,
        last_value(case when _move <= 0 then _at end ignore nulls) {{ running }} as _updated_at
        {%- for total in totals %},
        {{ assay._running_total(total, bounded, running) }} as {{ total.name }}
        {%- endfor %}
        {%- for total in unbounded %},
        case when _move = 0 then {{ total.addend }} end as {{ total.name }}_own
        {%- endfor %}
        {%- if unbounded %},
        {{ assay._differs(entity_keys) }} as _is_new_entity
        {%- endif %}
    from (select * from moves order by {{ keys }} nulls last, _at nulls last) as sorted

),
{% if unbounded %}
-- What never leaves an entity runs on into the next one: it is taken off there.
own as (

    select
        * exclude (_is_new_entity)
        replace (
            {%- for total in unbounded %}
            {{ total.name }} - last_value(
                case when _is_new_entity then coalesce({{ total.name }}, 0) - coalesce({{ total.name }}_own, 0) end ignore nulls
            ) {{ running }} as {{ total.name }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
    from running

),
{% endif %}
-- The row before each, now that it is known whether its instant is over.
before as (

    select
        {%- for column in entity_keys + ['_at', '_updated_at'] + (totals | map(attribute='name') | list) %}
        {{ assay._before(column) }} as {{ assay.quoted(column) }},
        {%- endfor %}
        {{ assay._differs(entity_keys + ['_at']) }} as _is_last
    from {{ 'own' if unbounded else 'running' }}

),

points as (

    select
        * exclude (_is_last)
        {%- if extremes %},
        row_number() over () as _position
        {%- endif %}
    from before
    where _is_last and _at is not null

),
{% for extreme in extremes %}
{{ assay._extreme(extreme, entity_keys, lengths, keys) }}
{% endfor %}
{{ 'computed' if increment else 'states' }} as (

    select
        {{ assay.quoted(entity_keys, 'points') }},
        points._at,
        points._updated_at
        {%- for column in columns %},
        {{ column.expression }} as {{ assay.quoted(column.name) }}
        {%- endfor %}
    from points
    {%- for extreme in extremes %}
    left join {{ extreme.name }} on points._position = {{ extreme.name }}._position
    {%- endfor %}

),
{% if increment %}
{{ assay._states_since(entity_keys, columns | map(attribute='name') | list, increment) }}
{% endif %}
final as (

    {{ assay.history_of_states(
        'states', entity_keys, columns | map(attribute='name') | list, since=since, are_sorted=are_sorted
    ) }}

)

select * from final
{%- endmacro %}


{#- Where a history's events come from; of an increment the entities that it concerns, and what their states from its cut on
    are made of. -#}
{% macro _from_events(relation, entity_keys, where, increment, since_cut) -%}
from {{ relation }}
    {%- if increment %}
    semi join {{ increment.touched }} using ({{ assay.quoted(entity_keys) }})
    {%- endif %}
    where
        {{ assay._is_event(entity_keys, where) }}
        {%- if since_cut %}
        and {{ since_cut }}
        {%- endif %}
{%- endmacro %}


{% macro _is_event(entity_keys, where) -%}
    {%- for key in entity_keys %}{{ ' and ' if not loop.first }}{{ assay.quoted(key) }} is not null{% endfor %}
    {%- if where %} and ({{ where }}){% endif %}
{%- endmacro %}


{#- A time as given, or an error: of what has none, or none that a range could begin or end at. -#}
{% macro _with_end(at, name, relation, length=none) -%}
    {%- set of = ' of ' ~ relation if '\n' not in relation -%}
    case
            when isfinite({{ at }}) and {{ at }}{{ ' + ' ~ length if length }} < {{ assay.end_of_time() }} then {{ at }}
            else error({{ assay._text(model.name ~ ': a row' ~ of ~ ' has no ' ~ name ~ ', or one without end') }})::timestamp
        end
{%- endmacro %}


{#- What an event adds to the totals of an input: its value if that is summed up, else whether it has one. -#}
{% macro _addend(name, input) -%}
    {%- if input.is_summed -%}
        case when typeof({{ input.column }}) in ('DOUBLE', 'FLOAT') then error({{ assay._text('windowed_history: ' ~ name ~ ' is a floating-point number, whose sums depend on their order: make it DECIMAL') }}) else {{ input.column }} end
    {%- else -%}
        case when {{ input.column }} is not null then true end
    {%- endif -%}
{%- endmacro %}


{#- The totals that columns are made of: number (n), sum (s) and sum of squares (q) of an input over a window. -#}
{% macro _totals_of(inputs) -%}
    {%- set totals = [] -%}
    {%- for input in inputs.values() -%}
        {%- for kind in input.totals -%}
            {%- for window in input.windows -%}
                {%- do totals.append({
                    'name': input.column ~ '_' ~ window ~ '_' ~ kind, 'kind': kind, 'window': window, 'type': input.type,
                    'has_value': '' if input.counts_rows else ' and ' ~ input.column ~ ' is not null',
                    'addend': {
                        'n': '1' if input.counts_rows else '(' ~ input.column ~ ' is not null)::int',
                        's': input.column,
                        'q': input.column ~ ' * ' ~ input.column,
                    }[kind],
                }) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(totals) }}
{%- endmacro %}


{#- Counts are taken by filters, at a tenth of the cost of sums. -#}
{% macro _running_total(total, bounded, running) -%}
    {%- set enters = '_move = 0' -%}
    {%- if total.window != 'all' -%}
        {%- set number = bounded.index(total.window) + 1 -%}
        {%- set enters = '_move = 0 and _missed < ' ~ number -%}
        {%- set leaves = '_move = ' ~ number -%}
    {%- endif -%}
    {%- if total.kind == 'n' -%}
        count(*) filter ({{ enters }}{{ total.has_value }}) {{ running }}
        {%- if leaves %} - count(*) filter ({{ leaves }}{{ total.has_value }}) {{ running }}{% endif -%}
    {%- else -%}
        sum(case when {{ enters }} then {{ total.addend }}{% if leaves %} when {{ leaves }} then -({{ total.addend }}){% endif %} end) {{ running }}
        {%- if total.type and total.kind == 's' and leaves %}::{{ total.type }}{% endif -%}
    {%- endif -%}
{%- endmacro %}


{#- Intervals as SQL, by the name of the window; ages may be of no length, or of parts of a second. -#}
{% macro _window_lengths(windows) -%}
    {%- set units = {
        'us': 'microseconds', 'ms': 'milliseconds', 's': 'seconds', 'm': 'minutes', 'h': 'hours', 'd': 'days',
    } -%}
    {%- set lengths = {} -%}
    {%- for window in windows -%}
        {%- if window != 'all' -%}
            {%- set found = modules.re.fullmatch('([0-9]{1,9}(?:[.][0-9]{1,6})?)(us|ms|[smhd])', window | string) -%}
            {%- if not found -%}
                {%- do assay._refuse('the window ' ~ window ~ ' is unknown: write a number and us, ms, s, m, h or d, such as 250ms, 24h or 7d') -%}
            {%- endif -%}
            {%- do lengths.update({window: "interval '" ~ found[1] ~ ' ' ~ units[found[2]] ~ "'"}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if windows | unique | list | length != windows | length or not windows -%}
        {%- do assay._refuse('the windows ' ~ windows | join(', ') ~ ' must be at least one, and each stand once') -%}
    {%- endif -%}
    {{ return(lengths) }}
{%- endmacro %}


{% macro _shortest_first(lengths) -%}
    {%- set seconds = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400} -%}
    {%- set found = [] -%}
    {%- for window in lengths -%}
        {%- do found.append((window[:-1] | int * seconds[window[-1]], window)) -%}
    {%- endfor -%}
    {{ return(found | sort | map(attribute=1) | list) }}
{%- endmacro %}


{#- Each input with its expression, its aggregates and the kinds of totals they need. -#}
{% macro _inputs_of(measures, windows) -%}
    {%- set known = ['count', 'sum', 'avg', 'min', 'max', 'stddev', 'distinct_count', 'mode', 'last', 'first'] -%}
    {%- set inputs = {} -%}
    {%- if not measures -%}
        {%- do assay._refuse('there are no measures') -%}
    {%- endif -%}
    {%- for name, measure in measures.items() -%}
        {%- set measure = {'aggregates': measure} if measure is not mapping else measure -%}
        {%- for word in measure if word not in ('aggregates', 'expression', 'type', 'windows') -%}
            {%- do assay._refuse('the measure ' ~ name ~ ' has ' ~ word ~ ': allowed are aggregates, expression, type and windows') -%}
        {%- endfor -%}
        {%- set aggregates = measure.get('aggregates') or [] -%}
        {%- if aggregates is string or not aggregates -%}
            {%- do assay._refuse('the measure ' ~ name ~ ' needs a list of aggregates') -%}
        {%- endif -%}
        {%- for aggregate in aggregates if aggregate not in known -%}
            {%- do assay._refuse('the aggregate ' ~ aggregate ~ ' of ' ~ name ~ ' is unknown: allowed are ' ~ known | join(', ')) -%}
        {%- endfor -%}
        {%- for window in measure.get('windows') or [] if window not in windows -%}
            {%- do assay._refuse('the window ' ~ window ~ ' of ' ~ name ~ ' is not among the windows ' ~ windows | join(', ')) -%}
        {%- endfor -%}
        {%- set totals = [] -%}
        {%- for kind, users in {'n': ['count', 'avg', 'stddev'], 's': ['sum', 'avg', 'stddev'], 'q': ['stddev']}.items() -%}
            {%- if aggregates | select('in', users) | list -%}
                {%- do totals.append(kind) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set expression = assay._sql(measure.get('expression') or ('true' if aggregates == ['count'] else assay.quoted(name))) -%}
        {%- do inputs.update({name: {
            'column': '_input_' ~ loop.index,
            'windows': measure.get('windows') or windows,
            'expression': expression,
            'counts_rows': expression == 'true',
            'aggregates': aggregates,
            'type': measure.get('type'),
            'totals': totals,
            'is_summed': 's' in totals,
            'is_moved': totals and expression != 'true',
        }}) -%}
    {%- endfor -%}
    {{ return(inputs) }}
{%- endmacro %}


{% macro _columns_of(inputs) -%}
    {%- set columns = [] -%}
    {%- for name, input in inputs.items() -%}
        {%- for aggregate in input.aggregates -%}
            {%- for window in input.windows -%}
                {%- set of_window = input.column ~ '_' ~ window -%}
                {%- set n, s, q = of_window ~ '_n', of_window ~ '_s', of_window ~ '_q' -%}
                {%- set extreme = of_window ~ '_' ~ aggregate ~ '._value' -%}
                {%- do columns.append({'name': name ~ '_' ~ aggregate ~ '_' ~ window, 'expression': {
                    'count': 'coalesce(' ~ n ~ ', 0)::bigint',
                    'sum': 'coalesce(' ~ s ~ ', 0)' ~ ('::' ~ input.type if input.type else ''),
                    'avg': s ~ '::double / nullif(' ~ n ~ ', 0)',
                    'stddev': 'case when ' ~ n ~ ' > 1 then sqrt((' ~ n ~ '::decimal(38, 0) * ' ~ q ~ ' - ' ~ s ~ ' * ' ~ s ~ ')::double / (' ~ n ~ '::double * (' ~ n ~ ' - 1))) end',
                    'distinct_count': 'coalesce(' ~ extreme ~ ', 0)::bigint',
                }.get(aggregate, extreme)}) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}


{#- The aggregates that cannot be subtracted, each with its window. -#}
{% macro _extremes_of(inputs) -%}
    {%- set extremes = [] -%}
    {%- for input in inputs.values() -%}
        {%- for aggregate in input.aggregates if aggregate in ('min', 'max', 'first', 'last', 'mode', 'distinct_count') -%}
            {%- for window in input.windows -%}
                {%- do extremes.append({
                    'name': input.column ~ '_' ~ window ~ '_' ~ aggregate, 'input': input.column, 'aggregate': aggregate, 'window': window,
                }) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(extremes) }}
{%- endmacro %}


{#- Aggregates that cannot be subtracted, as CTEs: the value at each point of an entity. -#}
{#- Long because its steps are one algorithm for each kind of aggregate, over the same names. -#}
{% macro _extreme(extreme, entity_keys, lengths, keys) -%}
    {%- set name, input, window = extreme.name, extreme.input, extreme.window -%}
    {%- set counts_values = extreme.aggregate in ('distinct_count', 'mode') -%}
    {%- set best = 'max' if extreme.aggregate in ('max', 'last') else 'min' -%}
    {%- set rank = {
        'max': input, 'min': input,
        'last': 'struct_pack(_order := _event_at, _value := ' ~ input ~ ')',
        'first': 'struct_pack(_order := _event_at, _value := ' ~ input ~ ')',
        'mode': 'struct_pack(_order := -_count, _value := _value)',
    }.get(extreme.aggregate) -%}
    {%- set value = '_rank' if extreme.aggregate in ('max', 'min') else '_rank._value' -%}
    {%- set length = lengths.get(window) -%}
    {%- if counts_values %}
{{ name }}_moves as (

    select {{ keys }}, {{ input }} as _value, _available_at as _at, 1 as _change
    from events
    where {{ input }} is not null{% if length %} and _event_at + {{ length }} > _available_at

    union all

    select {{ keys }}, {{ input }}, _event_at + {{ length }}, -1
    from events
    where {{ input }} is not null and _event_at + {{ length }} > _available_at{% endif %}

),

{{ name }}_counts as (

    select
        {{ keys }},
        _value,
        _at as _from,
        lead(_at) over by_time as _to,
        sum(_change) over by_time as _count,
        sum(_change) over by_time - _change as _count_before
    from (select {{ keys }}, _value, _at, sum(_change) as _change from {{ name }}_moves group by all) as changes
    window by_time as (partition by {{ keys }}, _value order by _at)

),
    {%- endif %}
    {%- if extreme.aggregate == 'distinct_count' %}
{{ name }}_steps as (

    select
        {{ keys }},
        _from as _at,
        sum((_count > 0)::int - (_count_before > 0)::int) as _step
    from {{ name }}_counts
    group by all

),

{{ name }} as (

    select
        points._position,
        sum(steps._step) over (partition by {{ assay.quoted(entity_keys, 'points') }} order by points._position) as _value
    from points
    left join {{ name }}_steps as steps
        on points._at = steps._at{{ assay._same_entity(entity_keys, 'points', 'steps') }}

),
    {%- else %}
{{ name }}_spans as (

    {% if counts_values -%}
    select {{ keys }}, _from, _to, {{ rank }} as _rank
    from {{ name }}_counts
    where _count > 0
    {%- else -%}
    select {{ keys }}, _available_at as _from, {{ '_event_at + ' ~ length if length else 'null' }} as _to, {{ rank }} as _rank
    from events
    where {{ input }} is not null{% if length %} and _event_at + {{ length }} > _available_at{% endif %}
    {%- endif %}

),
    {%- if not length %}

-- What never leaves is outdone, or not, for ever.
{{ name }} as (

    select
        points._position,
        ({{ best }}(spans._rank) over (
            partition by {{ assay.quoted(entity_keys, 'points') }} order by points._position
        )){{ value.removeprefix('_rank') }} as _value
    from points
    left join (select {{ keys }}, _from, {{ best }}(_rank) as _rank from {{ name }}_spans group by all) as spans
        on points._at = spans._from{{ assay._same_entity(entity_keys, 'points', 'spans') }}

),
    {%- else %}

{{ name }}_positions as (

    select
        first_points._position as _first,
        last_points._position as _end,
        spans._rank
    from {{ name }}_spans as spans
    inner join points as first_points
        on spans._from = first_points._at{{ assay._same_entity(entity_keys, 'spans', 'first_points') }}
    inner join points as last_points
        on spans._to = last_points._at{{ assay._same_entity(entity_keys, 'spans', 'last_points') }}

),

-- A segment tree: each span is cut into blocks of 1, 2, 4, ... aligned positions, at most two of a size.
{{ name }}_cut as (

    select
        *,
        (_first + (1 << _level) - 1) >> _level as _left,
        _end >> _level as _right
    from (
        select *, unnest(range(0, 1 + floor(log2(_end - _first))::bigint)) as _level
        from {{ name }}_positions
    ) as levels

),

{{ name }}_blocks as (

    select
        _level,
        _block,
        {{ best }}(_rank) as _rank
    from (
        select _level, _left as _block, _rank from {{ name }}_cut where _left < _right and _left % 2 = 1
        union all
        select _level, _right - 1 as _block, _rank from {{ name }}_cut where _left < _right and _right % 2 = 1
    ) as blocks
    group by _level, _block

),

{{ name }} as (

    select
        asked._position,
        {{ best }}(blocks._rank){{ value.removeprefix('_rank') }} as _value
    from (
        select _position, unnest(range(0, 1 + (select max(_level) from {{ name }}_blocks))) as _level
        from points
    ) as asked
    inner join {{ name }}_blocks as blocks
        on asked._level = blocks._level and asked._position >> asked._level = blocks._block
    group by asked._position

),
    {%- endif %}
    {%- endif %}
{%- endmacro %}
