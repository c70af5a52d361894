{#- Events that are alone in all windows: what they bring about is known without a look at any other. -#}


{#- The events that others may count beside, as `events`, and those that are alone, as `parted_events`. -#}
{% macro _parted_events(plan) -%}
marked_events as (

    select
        *,
        -- What came before has left all windows by then, unless something before came sooner than it happened.
        (
            {{ assay._differs(plan.entity_keys) }}
            or _available_at > {{ assay._before('_available_at') }} + {{ plan.lengths[plan.bounded[-1]] }}
        )
        and count(*) filter (_event_at > _available_at) over (rows between unbounded preceding and current row) = 0 as _is_apart
    from arrived

),

-- The row before each, now that it is known what follows.
parted_events as materialized (

    select
        {%- for column in plan.entity_keys + ['_event_at', '_available_at'] + plan.inputs.values() | rejectattr('counts_rows') | map(attribute='column') | list %}
        {{ assay._before(column) }} as {{ assay.quoted(column) }},
        {%- endfor %}
        {{ assay._before('_is_apart') }} and _is_apart as _is_alone
    from marked_events

),

events as materialized (

    select * exclude (_is_alone)
    from parted_events
    where not _is_alone

),
{%- endmacro %}


{#- The states of all entities: of events that others count beside, and of each that is alone. -#}
{% macro _states_of_all(plan) -%}
states as (

    select * from states_of_crowds
    {% for at in assay._instants_of_one(plan) %}
    union all by name

    {{ assay._state_of_one(plan, at) }}
    {% endfor %}
),
{%- endmacro %}


{#- When an event enters, and when it leaves windows; of windows of one length it leaves all at once. -#}
{% macro _instants_of_one(plan) -%}
    {%- set instants = ['_available_at'] -%}
    {%- for window in plan.bounded -%}
        {%- if loop.last or assay._microseconds(loop.nextitem) != assay._microseconds(window) -%}
            {%- do instants.append('_event_at + ' ~ plan.lengths[window]) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(instants) }}
{%- endmacro %}


{#- What an event that is alone sets all columns to, at an instant. -#}
{% macro _state_of_one(plan, at) -%}
    select
        {{ plan.entity }},
        {{ at }} as _at,
        _available_at as _updated_at
        {%- for name, input in plan.inputs.items() %}
        {%- set has_value = '1' if input.counts_rows else '(' ~ input.column ~ ' is not null)::bigint' %}
        {%- set addend = assay._addend(name, input) if not input.counts_rows %}
        {%- for aggregate in input.aggregates %}
        {%- for window in input.windows %}
        {%- set counts = '_event_at + ' ~ plan.lengths[window] ~ ' > ' ~ at %},
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
    {%- if at != '_available_at' %} and {{ at }} > _available_at{% endif %}
{%- endmacro %}
