{% macro retraining_evidence(training_sets, clock, drift=none, predictions=none, performance_days=30) -%}
    {%- for name in training_sets -%}
        {%- do ref(name) -%}
    {%- endfor -%}
    {%- if execute -%}
with {{ assay._training_rows(training_sets) }},

{{ assay._drift_evidence(drift) }},

{{ assay._performance_evidence(training_sets, predictions, performance_days) }}

select
    training_sets.training_set,
    null::varchar as version,
    training_sets.counted_from,
    training_sets.trained_until,
    clock.known_until,
    epoch(clock.known_until - training_sets.trained_until) / 86400 as age_days,
    training_sets.trained_rows,
    training_sets.new_rows,
    training_sets.new_rows / nullif(training_sets.trained_rows, 0) as new_rows_share,
    drift.drift_window,
    drift.feature_count,
    drift.drifting_count,
    drift.drifting_count / nullif(drift.feature_count, 0) as drifting_share,
    drift.drifting_features,
    performance.model_name,
    performance.outcome_count,
    performance.precision_before,
    performance.precision_now,
    performance.precision_lost,
    performance.precision_chance,
    performance.recall_before,
    performance.recall_now,
    performance.recall_lost,
    performance.recall_chance
from training_sets
cross join (select {{ assay.as_utc('(' ~ clock ~ ')') }} as known_until) as clock
left join drift on training_sets.training_set = drift.training_set
left join performance on training_sets.training_set = performance.training_set
    {%- endif -%}
{%- endmacro %}


{#- What each training set trains on, and what became known since. -#}
{% macro _training_rows(training_sets) -%}
training_sets as (
    {% for name in training_sets %}
    {%- set node = assay._node_named(name) %}
    {%- set known_at = 'outcome_known_at' if assay._is_time(assay._types_as_built(node).get('outcome_known_at')) else 'prediction_at' %}
    {%- set is_trained_on = assay._is_trained_on(node) %}
    {%- set trained_until = assay._retrain_when(name).trained_until %}
    select
        '{{ name }}' as training_set,
        {{ "'declared'" if trained_until else "'training rows'" }} as counted_from,
        {% if trained_until -%}
        timestamp '{{ trained_until }}'
        {%- else -%}
        {{ assay.as_utc("max(prediction_at) filter (where " ~ is_trained_on ~ ")") }}
        {%- endif %} as trained_until,
        count(*) filter (where {{ is_trained_on }}) as trained_rows,
        count(*) filter (
            where {{ assay.as_utc(known_at) }} > {{ "timestamp '" ~ trained_until ~ "'" if trained_until else assay.as_utc("(select max(prediction_at) from " ~ ref(name) ~ " where " ~ is_trained_on ~ ")") }}
        ) as new_rows
    from {{ ref(name) }}
    {{- '\n\n    union all\n' if not loop.last }}
    {%- endfor %}

)
{%- endmacro %}


{#- Of each training set, the newest window that was compared with the rows it trains on. -#}
{% macro _drift_evidence(drift) -%}
drift as (
    {% if drift is none %}
    select
        null::varchar as training_set,
        null::varchar as drift_window,
        null::bigint as feature_count,
        null::bigint as drifting_count,
        null::varchar[] as drifting_features
    where false
    {% else %}
    select
        reference as training_set,
        "window" as drift_window,
        count(*) as feature_count,
        count(*) filter (where verdict = 'drift') as drifting_count,
        list("view" || '.' || feature order by psi desc nulls last, "view", feature) filter (where verdict = 'drift') as drifting_features
    from {{ drift }}
    where verdict in ('stable', 'watch', 'volume', 'drift')
    group by reference, "window", window_to
    qualify row_number() over (partition by reference order by window_to desc) = 1
    {% endif %}
)
{%- endmacro %}


{#- The model that predicted last: its first days with outcomes, beside its last. -#}
{% macro _performance_evidence(training_sets, predictions, performance_days) -%}
    {%- set counts = ['true_positive_count', 'false_positive_count', 'false_negative_count'] -%}
{{ assay._judged_days(training_sets, predictions, counts) }},

{{ assay._both_ends(performance_days, counts) }},

rates as (

    select
        *,
        true_positive_count + false_positive_count as predicted_count,
        true_positive_count + false_negative_count as actual_count,
        true_positive_count / nullif(predicted_count, 0) as precision,
        true_positive_count / nullif(actual_count, 0) as recall
    from both_ends

),

performance as (

    select
        past.training_set,
        past.model_name,
        least(past.outcome_count, present.outcome_count) as outcome_count
        {%- for rate, count in {'precision': 'predicted_count', 'recall': 'actual_count'}.items() %},
        past.{{ rate }} as {{ rate }}_before,
        present.{{ rate }} as {{ rate }}_now,
        past.{{ rate }} - present.{{ rate }} as {{ rate }}_lost,
        -- Three standard errors of the difference of two shares, pooled.
        3 * sqrt(
            (past.true_positive_count + present.true_positive_count)
            * (past.{{ count }} + present.{{ count }} - past.true_positive_count - present.true_positive_count)
            / nullif(pow(past.{{ count }} + present.{{ count }}, 2), 0)
            * (1 / nullif(past.{{ count }}, 0) + 1 / nullif(present.{{ count }}, 0))
        ) as {{ rate }}_chance
        {%- endfor %}
    from rates as past
    inner join rates as present on past.training_set = present.training_set
    where not past.is_now and present.is_now

)
{%- endmacro %}


{#- The days on which outcomes are known, of each label that a training set is made of. -#}
{% macro _judged_days(training_sets, predictions, counts) -%}
labels (training_set, label_name) as (

    values
    (null::varchar, null::varchar)
    {%- for name in training_sets -%}
        {%- for unique_id in assay._node_named(name).depends_on.nodes if unique_id in graph.nodes %},
    ('{{ name }}', '{{ graph.nodes[unique_id].name }}')
        {%- endfor -%}
    {%- endfor %}

),

judged_days as (
    {% if predictions is none %}
    select
        null::varchar as training_set,
        null::varchar as model_name,
        null::date as predicted_on,
        null::bigint as outcome_count
        {%- for count in counts %},
        null::bigint as {{ count }}
        {%- endfor %}
    where false
    {% else %}
    select
        labels.training_set,
        predictions.model_name,
        predictions.predicted_on,
        predictions.outcome_count
        {%- for count in counts %},
        predictions.{{ count }}
        {%- endfor %}
    from {{ predictions }} as predictions
    inner join labels on predictions.label_name = labels.label_name
    where predictions.outcome_count > 0
    {% endif %}
)
{%- endmacro %}


{% macro _both_ends(performance_days, counts) -%}
-- Of models that began on the same day, one must be chosen.
newest_models as (

    select
        training_set,
        model_name,
        min(predicted_on) as first_on,
        max(predicted_on) as last_on
    from judged_days
    group by training_set, model_name
    qualify row_number() over (partition by training_set order by first_on desc, model_name) = 1

),

both_ends as (

    select
        training_set,
        model_name,
        judged_days.predicted_on > newest_models.last_on - {{ performance_days }} as is_now,
        sum(outcome_count)::bigint as outcome_count
        {%- for count in counts %},
        sum({{ count }})::bigint as {{ count }}
        {%- endfor %}
    from judged_days
    inner join newest_models using (training_set, model_name)
    where
        judged_days.predicted_on > newest_models.last_on - {{ performance_days }}
        or judged_days.predicted_on < least(newest_models.first_on + {{ performance_days }}, newest_models.last_on - {{ performance_days - 1 }})
    group by all

)
{%- endmacro %}
