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
        columns | length + assay._extremes_of(inputs, {}, bounded) | selectattr('move') | list | length,
        1 + bounded | length,
        assay._window_lengths(windows)[bounded[-1]] if 'all' not in windows,
    ) -%}
    {{ assay._windowed_rows(**rows) }}
{%- endmacro %}


{% macro _windowed_rows(relation, entity_keys, event_at, available_at, measures, windows, where, increment=none, since=none, ends_after=none) -%}
    {%- set plan = assay._plan(entity_keys, measures, windows, increment) -%}
    {%- set names = plan.columns | map(attribute='name') | list -%}
{{ assay._events(plan, relation, event_at, available_at, where, increment) }}
{% if plan.is_parted %}
{{ assay._parted_events(plan) }}
{% endif %}
{% if increment %}
{{ assay._seeds(entity_keys, increment) }}
{% endif %}
{% if plan.is_valued %}
{{ assay._valued_events(plan.inputs, plan.extremes, entity_keys, plan.lengths, plan.bounded) }}
{% endif %}
{{ assay._moves(plan, increment) }}

{{ assay._held_moves(plan) }}

{{ assay._running_totals(plan) }}

{{ assay._states_of_moves(plan, 'computed' if increment else 'states_of_crowds' if plan.is_parted else 'states', ends_after) }}
{% if plan.is_parted %}
{{ assay._states_of_all(plan) }}
{% endif %}
{% if increment %}
{{ assay._states_since(entity_keys, names, increment) }}
{% endif %}
final as (

    {{ assay.history_of_states(
        'states', entity_keys, names, '_is_written' if plan.is_parted, since=since, are_sorted=plan.are_sorted,
    ) }}

)

{% if plan.is_parted -%}
{{ assay._whole_rows(plan, '< ' ~ since if since) }}

union all

{% endif -%}
select * from final
{%- if plan.is_parted and since %}

union all

{{ assay._whole_rows(plan, '>= ' ~ since) }}
{%- endif %}
{%- endmacro %}


{#- What the steps of the query are made from. Events are parted where it pays: more than counts and sums are asked for, in
    windows that all events leave again. -#}
{% macro _plan(entity_keys, measures, windows, increment) -%}
    {%- set lengths = assay._window_lengths(windows) -%}
    {%- set bounded = assay._shortest_first(lengths) -%}
    {%- set inputs = assay._inputs_of(measures, windows) -%}
    {%- set totals = assay._totals_of(inputs) -%}
    {%- set extremes = assay._extremes_of(inputs, lengths, bounded) -%}
    {%- set kinds = totals | map(attribute='kind') | list -%}
    {%- set is_parted = not increment and 'all' not in windows and kinds | reject('in', 'ns') | list | length > 0 -%}
    {{ return({
        'entity_keys': entity_keys,
        'entity': assay.quoted(entity_keys),
        'lengths': lengths,
        'bounded': bounded,
        'inputs': inputs,
        'totals': totals,
        'unbounded': totals | selectattr('window', 'equalto', 'all') | list,
        'extremes': extremes,
        'held': assay._held_columns(extremes),
        'moved': assay._moved_columns(inputs, extremes, bounded),
        'columns': assay._columns_of(inputs, extremes),
        'is_valued': extremes or 'd' in kinds,
        'is_open': 'all' in windows,
        'is_parted': is_parted,
        'are_sorted': not (increment or is_parted),
    }) }}
{%- endmacro %}


{#- The events as given; those that are to be parted in the order in which they became known. -#}
{% macro _events(plan, relation, event_at, available_at, where, increment) -%}
    {%- set longest = plan.lengths[plan.bounded[-1]] if plan.bounded -%}
    {%- set since_cut = '(%s >= {cut} or %s >= {cut} - %s)' % (available_at, event_at, longest) if not plan.is_open -%}
-- In order, so that each window's exits are as well: runs are merged in half the time that sorting takes.
with {{ 'arrived as' if plan.is_parted else 'events as materialized' }} (

    select
        {{ plan.entity }},
        {{ assay._with_end(event_at, 'event_at', relation, longest) }} as _event_at,
        {{ assay._with_end(available_at, 'available_at', relation) }} as _available_at
        {%- for input in plan.inputs.values() if not input.counts_rows %},
        {{ input.expression }} as {{ input.column }}
        {%- endfor %}
    {{ assay._from_events(relation, plan.entity_keys, where, increment, since_cut) }}
    {%- if plan.is_parted %}

    -- What comes last is seen from a row behind it, of no entity.
    union all by name

    select timestamp 'infinity' as _available_at
    {% endif %}
    order by {{ plan.entity }} nulls last, {{ '_available_at' if plan.is_parted else '_event_at' }}

),
{%- endmacro %}


{#- Where a history's events come from; of an increment the entities that it concerns, and what their states from their cuts
    on are made of. -#}
{% macro _from_events(relation, entity_keys, where, increment, since_cut) -%}
from {{ relation }}
    {%- if increment %}
    inner join {{ increment.touched }} using ({{ assay.quoted(entity_keys) }})
    {%- endif %}
    where
        {{ assay._is_event(entity_keys, where) }}
        {%- if increment and since_cut %}
        and {{ since_cut.replace('{cut}', increment.cut) }}
        and {{ since_cut.replace('{cut}', '_assay_cut') }}
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


{#- The totals that columns are made of, of an input over a window: number (n), sum (s), sum of squares (q) and number
    of different values (d). -#}
{% macro _totals_of(inputs) -%}
    {%- set totals = [] -%}
    {%- for input in inputs.values() -%}
        {%- for window in input.windows -%}
            {%- for kind in input.totals if window != 'all' or kind not in 'col' -%}
                {%- do totals.append({
                    'name': input.column ~ '_' ~ window ~ '_' ~ kind, 'kind': kind, 'window': window, 'type': input.type,
                    'input': input,
                    'addend': {
                        's': input.column,
                        'q': input.column ~ ' * ' ~ input.column,
                        'd': '(' ~ input.column ~ '_new > 0)::int',
                    }.get(kind, '1' if input.counts_rows else '(' ~ input.column ~ ' is not null)::int'),
                }) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(totals) }}
{%- endmacro %}


{#- Counts are taken by filters, at a tenth of the cost of sums. -#}
{% macro _running_total(total, bounded, running) -%}
    {%- set is_bounded = total.window != 'all' -%}
    {%- set number = (bounded + ['all']).index(total.window) + 1 -%}
    {%- set enters = '_move = 0' ~ (' and _missed < ' ~ number if is_bounded) -%}
    {%- set leaves = '_move = ' ~ number -%}
    {%- if total.kind == 'd' -%}
        {%- set enters = enters ~ ' and ' ~ total.input.column ~ '_new >= ' ~ number -%}
        {%- set leaves = leaves ~ ' and ' ~ total.input.column ~ '_new > 0' -%}
    {%- elif total.kind in 'ncol' -%}
        {%- set has_value = ('' if total.input.counts_rows else ' and ' ~ total.input.column ~ ' is not null')
            ~ {'o': ' and not _is_late', 'l': ' and _is_late'}.get(total.kind, '') -%}
        {%- set enters, leaves = enters ~ has_value, leaves ~ has_value -%}
    {%- endif -%}
    {%- if total.kind in 'ncold' -%}
        count(*) filter ({{ enters }}) {{ running }}
        {%- if is_bounded %} - count(*) filter ({{ leaves }}) {{ running }}{% endif -%}
    {%- else -%}
        sum(case when {{ enters }} then {{ total.addend }}{% if is_bounded %} when {{ leaves }} then -({{ total.addend }}){% endif %} end) {{ running }}
        {%- if total.type and total.kind == 's' and is_bounded %}::{{ total.type }}{% endif -%}
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
    {%- set found = [] -%}
    {%- for window in lengths -%}
        {%- do found.append((assay._microseconds(window), window)) -%}
    {%- endfor -%}
    {{ return(found | sort | map(attribute=1) | list) }}
{%- endmacro %}


{#- When an event leaves a window. In whole numbers, at a quarter of the cost of intervals. -#}
{% macro _leaves_at(window) -%}
    make_timestamp(epoch_us(_event_at) + {{ assay._microseconds(window) }})
{%- endmacro %}


{% macro _microseconds(window) -%}
    {{ return(window[:-1] | int * {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}[window[-1]] * 1000000) }}
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
        {%- for kind, users in {
            'n': ['count', 'avg', 'stddev'], 's': ['sum', 'avg', 'stddev'], 'q': ['stddev'],
            'd': ['distinct_count'], 'c': ['last'], 'o': ['min', 'max', 'first', 'mode'], 'l': ['min', 'max', 'first', 'mode'],
        }.items() -%}
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
            'is_moved': totals | reject('equalto', 'd') | list and expression != 'true',
        }}) -%}
    {%- endfor -%}
    {{ return(inputs) }}
{%- endmacro %}


{% macro _columns_of(inputs, extremes=[]) -%}
    {%- set columns = [] -%}
    {%- set values = {} -%}
    {%- for extreme in extremes -%}
        {%- set least = extremes | selectattr('name', 'equalto', extreme.name.removesuffix('mode') ~ 'min') | first -%}
        {%- do values.update({extreme.name: assay._extreme_value(extreme, least)}) -%}
    {%- endfor -%}
    {%- for name, input in inputs.items() -%}
        {%- for aggregate in input.aggregates -%}
            {%- for window in input.windows -%}
                {%- set of_window = input.column ~ '_' ~ window -%}
                {%- set n, s, q = of_window ~ '_n', of_window ~ '_s', of_window ~ '_q' -%}
                {%- do columns.append({'name': name ~ '_' ~ aggregate ~ '_' ~ window, 'expression': {
                    'count': 'coalesce(' ~ n ~ ', 0)::bigint',
                    'sum': 'coalesce(' ~ s ~ ', 0)' ~ ('::' ~ input.type if input.type else ''),
                    'avg': s ~ '::double / nullif(' ~ n ~ ', 0)',
                    'stddev': 'case when ' ~ n ~ ' > 1 then sqrt((' ~ n ~ '::decimal(38, 0) * ' ~ q ~ ' - ' ~ s ~ ' * ' ~ s ~ ')::double / (' ~ n ~ '::double * (' ~ n ~ ' - 1))) end',
                    'distinct_count': 'coalesce(' ~ of_window ~ '_d, 0)::bigint',
                }.get(aggregate, values.get(of_window ~ '_' ~ aggregate))}) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}


{#- How many of the windows, shortest first, what happened at a time has left when an event becomes available. -#}
{% macro _windows_left(happened_at, lengths, bounded) -%}
    {% if bounded %}case
            {%- for window in bounded %}
            when {{ happened_at }} + {{ lengths[window] }} > _available_at then {{ loop.index0 }}
            {%- endfor %}
            else {{ bounded | length }}
        end{% else %}0{% endif %}::tinyint
{%- endmacro %}


{#- What a move brings along: by name, when an event enters, and when it leaves a window. -#}
{% macro _moved_columns(inputs, extremes, bounded) -%}
    {%- set columns = [] -%}
    {%- for name, input in inputs.items() -%}
        {%- set column = input.column -%}
        {%- if input.is_moved -%}
            {%- set addend = assay._addend(name, input) -%}
            {%- do columns.append({'name': column, 'enters': addend, 'leaves': dict.fromkeys(bounded, addend)}) -%}
        {%- endif -%}
        {%- if 'd' in input.totals -%}
            {%- set leaves = {} -%}
            {%- for window in bounded -%}
                {%- do leaves.update({window: column ~ '_last_' ~ window}) -%}
            {%- endfor -%}
            {%- do columns.append({'name': column ~ '_new', 'enters': column ~ '_new', 'leaves': leaves}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if extremes | selectattr('way', 'equalto', 'frames') | list -%}
        {%- do columns.append({'name': '_is_late', 'enters': '_is_late', 'leaves': dict.fromkeys(bounded, '_is_late')}) -%}
    {%- endif -%}
    {%- for extreme in extremes if extreme.way != 'values' -%}
        {%- for part in [extreme.carried, extreme.rank] if part and part not in columns | map(attribute='name') -%}
            {%- do columns.append({
                'name': part,
                'enters': part ~ '_in' if extreme.way == 'frames' else part,
                'leaves': {extreme.window: part ~ '_out'} if extreme.way == 'frames' else {},
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}
