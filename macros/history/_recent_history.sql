{#- The end of a windowed history: of each entity the rows that hold at its last arrival or later, as the whole history has
    them, made of the events that count from then on. Nothing where an aggregate over all time needs every event.

    Entities have numbers on the way: to sort and compare numbers costs a fraction of what it does with texts.

    Where the last arrival opened no row, its row began before, where other events counted: there `valid_from` may be wrong. -#}
{% macro _recent_windowed_history(relation, entity_keys, event_at, available_at, measures, windows, where=none) -%}
    {%- set bounded = assay._shortest_first(assay._window_lengths(windows)) -%}
    {%- set inputs, own, added, kept, needs_all = assay._inputs_of(measures, windows), {}, {}, [], [] -%}
    {%- for name, input in inputs.items() -%}
        {%- set value = 'true' if input.counts_rows else '_recent_value_' ~ loop.index -%}
        {%- do own.update({name: {
            'expression': value, 'aggregates': input.aggregates, 'windows': input.windows, 'type': input.type,
        }}) -%}
        {%- for aggregate in input.aggregates if 'all' in input.windows -%}
            {%- if aggregate in ('count', 'sum') -%}
                {%- do added.update({name ~ '_' ~ aggregate ~ '_all': {
                    'total': aggregate ~ '(' ~ value ~ ')', 'type': input.type if aggregate == 'sum',
                }}) -%}
            {%- elif aggregate in ('min', 'max') -%}
                {%- do kept.append({'value': value, 'best': aggregate ~ '(' ~ value ~ ')'}) -%}
            {%- elif aggregate in ('first', 'last') -%}
                {%- do kept.append({
                    'value': '_recent_event_at',
                    'best': {'first': 'min', 'last': 'max'}[aggregate] ~ '(_recent_event_at) filter (where ' ~ value ~ ' is not null)',
                }) -%}
            {%- else -%}
                {%- do needs_all.append(aggregate) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if not needs_all -%}
{{ assay._recent_past(relation, entity_keys, event_at, available_at, inputs, where, bounded[-1] if bounded) }}

{{ assay._recent_events(kept) }}

recent_history as (

    {{ assay._windowed_rows(
        relation='(select * from recent_events where _recent_counts)',
        entity_keys=['_recent_entity', '_recent_last_at'], event_at='_recent_event_at',
        available_at='_recent_available_at', measures=own, windows=windows, where=none, ends_after='_recent_last_at',
    ) }}

)

{{ assay._recent_rows(entity_keys, added) }}
    {%- endif -%}
{%- endmacro %}


{#- The events with what they are counted by, and which of them were known before the last arrival and have left all windows
    by then. -#}
{% macro _recent_past(relation, entity_keys, event_at, available_at, inputs, where, longest) -%}
    {%- set keys = assay.quoted(entity_keys) -%}
with recent_input as materialized (

    select
        {{ keys }},
        {{ assay.as_utc(event_at) }} as _recent_event_at,
        {{ assay.as_utc(available_at) }} as _recent_available_at
        {%- for input in inputs.values() if not input.counts_rows %},
        {{ input.expression }} as _recent_value_{{ input.column | replace('_input_', '') }}
        {%- endfor %}
    from {{ relation }}
    where {{ assay._is_event(entity_keys, where) }}

),

recent_arrivals as materialized (

    select
        {{ keys }},
        max(_recent_available_at) as _recent_last_at,
        row_number() over () as _recent_entity
    from recent_input
    group by {{ keys }}

),

recent_past as materialized (

    select
        recent_input.* exclude ({{ keys }}),
        _recent_entity,
        _recent_last_at,
        _recent_available_at < _recent_last_at
        {%- if longest %} and epoch_us(_recent_event_at) + {{ assay._microseconds(longest) }} < epoch_us(_recent_last_at){% endif %} as _recent_is_over
    from recent_input
    inner join recent_arrivals using ({{ keys }})

),
{%- endmacro %}


{#- Whether the events count. Of the past, those do that came last, so that it is known whether the last arrival opens a row,
    and the best of all time. -#}
{% macro _recent_events(kept) -%}
recent_best as (

    select
        _recent_entity,
        max(_recent_available_at) as _recent_best_0
        {%- for each in kept %},
        {{ each.best }} as _recent_best_{{ loop.index }}
        {%- endfor %}
    from recent_past
    where _recent_is_over
    group by _recent_entity

),

recent_events as {{ 'materialized' if kept else 'not materialized' }} (

    select
        recent_past.*,
        not _recent_is_over
        or _recent_available_at = _recent_best_0
        {%- for each in kept %}
        or coalesce({{ each.value }} = _recent_best_{{ loop.index }}, false)
        {%- endfor %} as _recent_counts
    from recent_past
    left join recent_best using (_recent_entity)

),
{%- endmacro %}


{#- The rows with their keys. What does not count is the same in all rows of an entity, so it is one total that is added. -#}
{% macro _recent_rows(entity_keys, added) -%}
{% if added -%}
, recent_totals as (

    select
        _recent_entity
        {%- for name, each in added.items() %},
        {{ each.total }} as {{ assay.quoted(name) }}
        {%- endfor %}
    from recent_events
    where not _recent_counts
    group by _recent_entity

)

{% endif -%}
select
    {{ assay.quoted(entity_keys, 'recent_arrivals') }},
    recent_history.* exclude (_recent_entity, _recent_last_at)
    {%- if added %}
    replace (
        {%- for name, each in added.items() %}
        (recent_history.{{ assay.quoted(name) }} + coalesce(recent_totals.{{ assay.quoted(name) }}, 0))
        {{- '::' ~ each.type if each.type }} as {{ assay.quoted(name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    )
    {%- endif %}
from recent_history
inner join recent_arrivals on recent_history._recent_entity = recent_arrivals._recent_entity
{%- if added %}
left join recent_totals on recent_history._recent_entity = recent_totals._recent_entity
{%- endif %}
where recent_history.valid_to > recent_history._recent_last_at
{%- endmacro %}
