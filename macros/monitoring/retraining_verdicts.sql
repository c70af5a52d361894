{% macro retraining_verdicts(evidence, training_sets) -%}
with {{ assay._limits_of(training_sets) }},

triggered as (

    select
        evidence.*,
        coalesce(evidence.drifting_share >= limits.drifting_share, false) as is_drifting,
        coalesce(
            evidence.precision_lost >= limits.precision_lost
            and evidence.precision_lost > evidence.precision_chance
            and evidence.outcome_count >= limits.fewest_outcomes, false
        ) as has_lost_precision,
        coalesce(
            evidence.recall_lost >= limits.recall_lost
            and evidence.recall_lost > evidence.recall_chance
            and evidence.outcome_count >= limits.fewest_outcomes, false
        ) as has_lost_recall,
        -- The split moves with time: of rows that train always the same share lies behind.
        coalesce(evidence.counted_from in ('declared', 'version') and evidence.age_days > limits.age_days, false) as is_old,
        coalesce(evidence.counted_from in ('declared', 'version') and evidence.new_rows_share >= limits.new_rows_share, false) as has_new_rows
    from {{ evidence }} as evidence
    inner join limits on evidence.training_set = limits.training_set

)

select
    training_set,
    is_drifting or has_lost_precision or has_lost_recall or is_old or has_new_rows as retrain,
    case
        when retrain then {{ assay._reason_to_retrain() }}
        when counted_from = 'no version'
            then 'no reason to retrain; no version was created yet, so age and new rows are not judged: assay training-set create ' || training_set
        when counted_from = 'training rows' then 'no reason to retrain; age and new rows are judged by assay retraining, from the newest version'
        else 'no reason to retrain'
    end as reason,
    * exclude (training_set)
from triggered
{%- endmacro %}


{#- The reasons to retrain, in words: a part for each trigger. -#}
{% macro _reason_to_retrain() -%}
    {%- set features_told = 5 -%}
    concat_ws(
        '; ',
        case
            when is_drifting then format(
                '{} of {} features ({:.0f} %) have drifted in {}: {}{}',
                drifting_count, feature_count, 100 * drifting_share, drift_window,
                array_to_string(drifting_features[:{{ features_told }}], ', '),
                if(drifting_count > {{ features_told }}, ' and others', '')
            )
        end,
        case
            when has_lost_precision then format(
                'precision of {} fell from {:.1f} % to {:.1f} %', model_name, 100 * precision_before, 100 * precision_now
            )
        end,
        case
            when has_lost_recall then format(
                'recall of {} fell from {:.1f} % to {:.1f} %', model_name, 100 * recall_before, 100 * recall_now
            )
        end,
        case when is_old then format('{} is {:.0f} days old', coalesce(version, 'what was trained'), age_days) end,
        case
            when has_new_rows then format(
                '{:,} labelled rows are new, {:.0f} % of the {:,} trained on', new_rows, 100 * new_rows_share, trained_rows
            )
        end
    )
{%- endmacro %}


{% macro _limits_of(training_sets) -%}
{%- for name in var('retrain_when', {}).training_sets or {} if execute and not assay._node_named(name) -%}
    {%- do assay._refuse('retrain_when has limits for ' ~ name ~ ', which is no training set: there are ' ~ training_sets | join(', ')) -%}
{%- endfor -%}
limits (
    training_set, drifting_share, precision_lost, recall_lost, fewest_outcomes, age, age_days, new_rows_share
) as (

    values
    {%- for name in training_sets %}
    {%- set limits = assay._retrain_when(name) %}
    {%- set age = assay._window_lengths([limits.age])[limits.age] if limits.age else 'null::interval' %}
    (
        '{{ name }}',
        {{- assay._limit(limits.drifting_share) }}, {{ assay._limit(limits.precision_lost) }}, {{ assay._limit(limits.recall_lost) -}}
        , {{ assay._limit(limits.fewest_outcomes) }}, '{{ limits.age }}', epoch({{ age }}) / 86400, {{ assay._limit(limits.new_rows_share) -}}
    ){{ ',' if not loop.last }}
    {%- endfor %}

)
{%- endmacro %}


{#- The limits of a training set: the variable's own, and what it says of this set alone. -#}
{% macro _retrain_when(training_set) -%}
    {%- set known = ['drifting_share', 'precision_lost', 'recall_lost', 'fewest_outcomes', 'age', 'new_rows_share'] -%}
    {%- set declared = var('retrain_when', {}) -%}
    {%- set own = (declared.training_sets or {}).get(training_set) or {} -%}
    {%- set limits = {} -%}
    {%- for name, limit in declared.items() if name != 'training_sets' -%}
        {%- do limits.update({name: limit}) -%}
    {%- endfor -%}
    {%- do limits.update(own) -%}
    {%- for name in limits if name not in known and not (name == 'trained_until' and name in own) -%}
        {%- do assay._refuse('retrain_when has ' ~ name ~ ' for ' ~ training_set ~ ': allowed are ' ~ known | join(', ') ~ '; and of a training set alone trained_until') -%}
    {%- endfor -%}
    {{ return(limits) }}
{%- endmacro %}


{#- Each training set with the models that it is made of, one of which is its label. -#}
{% macro _labels_of(training_sets) -%}
    {%- set found = [] -%}
    {%- for name in training_sets -%}
        {%- for unique_id in assay._node_named(name).depends_on.nodes if unique_id in graph.nodes -%}
            {%- do found.append((name, graph.nodes[unique_id].name)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
