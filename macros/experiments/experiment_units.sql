{% macro experiment_units(exposures, experiments) -%}
with {{ assay._exposed_units(exposures, experiments) }}

{% for experiment in experiments %}
{% set loop_of_experiments = loop %}
{% for metric in experiment.metrics %}
select
    units.experiment_name,
    {{ assay._text(metric.name) }} as metric_name,
    units.arm,
    units.entity_id,
    units.exposed_at,
    units.exposed_at + to_seconds({{ experiment.attribution }}) as ready_at,
    units.weights,
    units.left_out,
    {{ 'least(values.after, 1)' if metric.type == 'proportion' else 'values.after' }} as value,
    {{ 'denominators.after' if metric.type == 'ratio' else 'null::double' }} as denominator,
    {% if not experiment.covariate or metric.type == 'ratio' %}
    null::double as covariate,
    {% else %}
    {{ 'least(values.before, 1)' if metric.type == 'proportion' else 'values.before' }} as covariate,
    {% endif %}
    {% if metric.parts | length > 1 %}
    least(values.known_until, denominators.known_until) as known_until
    {% else %}
    values.known_until
    {% endif %}
from units
inner join ({{ assay._values_of_units(experiment, metric.parts[0]) }}) as values using (entity_id)
{% if metric.type == 'ratio' %}
inner join ({{ assay._values_of_units(experiment, metric.parts[1]) }}) as denominators using (entity_id)
{% endif %}
where units.experiment_name = {{ assay._text(experiment.name) }}
{{ 'union all' if not (loop.last and loop_of_experiments.last) }}
{% endfor %}
{% endfor %}
{%- endmacro %}


{#- Each unit of each experiment with its first exposure, and why it is left out, where it is. -#}
{% macro _exposed_units(exposures, experiments) -%}
declared (experiment_name, entity, salt, starts_at, ends_at, arms) as (

    values
    {% for experiment in experiments %}
    (
        {{ assay._text(experiment.name) }}, {{ assay._text(experiment.entity) }}, {{ assay._text(experiment.salt) }},
        timestamp '{{ experiment.start }}', timestamp '{{ experiment.end }}',
        [{% for arm in experiment.arms %}{{ assay._text(arm) }}{{ ', ' if not loop.last }}{% endfor %}]
    ){{ ',' if not loop.last }}
    {% endfor %}

),

-- An id of another entity, which one of the experiment's own may have too, says nothing of that one.
exposed as (

    select
        exposures.*,
        declared.arms,
        exposures.entity = declared.entity as is_of_entity
    from {{ exposures }} as exposures
    inner join declared
        on
            exposures.experiment_name = declared.experiment_name
            and exposures.salt = declared.salt
            and exposures.event_at >= declared.starts_at
            and exposures.event_at < declared.ends_at
    qualify is_of_entity = max(is_of_entity) over (partition by exposures.experiment_name, exposures.entity_id)

),

units as (

    select
        experiment_name,
        entity_id,
        arg_min(arm, (event_at, exposure_id)) as arm,
        arg_min(weights, (event_at, exposure_id)) as weights,
        min(event_at) as exposed_at,
        case
            when not bool_and(is_of_entity) then 'another entity'
            when count(distinct arm) > 1 then 'several arms'
            when not list_contains(any_value(arms), min(arm)) then 'unknown arm'
        end as left_out
    from exposed
    group by experiment_name, entity_id

)
{%- endmacro %}


{#- What each unit of an experiment did in the time of attribution, and in as long before as the covariate asks. -#}
{% macro _values_of_units(experiment, part) -%}
    {%- set per_unit = {'sum': 'sum(_value order by _value)', 'sum_boolean': 'sum(_value::boolean::integer)', 'count': 'count(_value)',
        'count_distinct': 'count(distinct _value)'}[part.agg] -%}
    select
        units.entity_id,
        coalesce(({{ per_unit }} filter (where rows._at >= units.exposed_at))::double, 0) as after,
        coalesce(({{ per_unit }} filter (where rows._at < units.exposed_at))::double, 0) as before,
        {{ assay.known_until(ref(part.model), part.at) }} as known_until
    from units
    left join (
        select ({{ part.key }})::varchar as _key, {{ assay.as_utc(part.at) }} as _at, {{ part.sql }} as _value
        from {{ ref(part.model) }}
        {% for condition in part.where %}
        {{ 'where' if loop.first else 'and' }} ({{ condition }})
        {% endfor %}
    ) as rows
        on
            units.entity_id = rows._key
            and rows._at >= units.exposed_at - to_seconds({{ experiment.covariate or 0 }})
            and rows._at < units.exposed_at + to_seconds({{ experiment.attribution }})
    where units.experiment_name = {{ assay._text(experiment.name) }}
    group by units.entity_id
{%- endmacro %}
