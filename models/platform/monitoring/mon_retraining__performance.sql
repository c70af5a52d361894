{% set days_compared, standard_errors = 30, 3 %}
{% set counts = ['true_positive_count', 'false_positive_count', 'false_negative_count'] %}
with predictions as (

    select * from {{ ref('mon_predictions') }}

),

labels as (

    {% for name, label in assay._labels_of(trainable(names_read('training_sets'))) %}
        select
            '{{ name }}' as training_set,
            '{{ label }}' as label_name
        union all
    {% endfor %}
    select
        null::varchar as training_set,
        null::varchar as label_name
    where false

),

judged_days as (

    select
        labels.training_set,
        predictions.*
    from predictions
    inner join labels on predictions.label_name = labels.label_name
    where predictions.outcome_count > 0

),

-- Of models that began on the same day, one must be chosen.
newest_models as (

    select
        training_set,
        model_name,
        min(predicted_on) as first_on,
        max(predicted_on) as last_on,
        -- The first days do not overlap with the last.
        least(first_on + {{ days_compared }}, last_on - {{ days_compared - 1 }}) as past_until
    from judged_days
    group by training_set, model_name
    qualify row_number() over (partition by training_set order by first_on desc, model_name asc) = 1

),

both_ends as (

    select
        training_set,
        model_name,
        judged_days.predicted_on > newest_models.last_on - {{ days_compared }} as is_now,
        {% for count in counts %}
            sum(judged_days.{{ count }})::bigint as {{ count }},
        {% endfor %}
        sum(judged_days.outcome_count)::bigint as outcome_count
    from judged_days
    inner join newest_models using (training_set, model_name)
    where
        judged_days.predicted_on > newest_models.last_on - {{ days_compared }}
        or judged_days.predicted_on < newest_models.past_until
    group by all

),

rates as (

    select
        *,
        true_positive_count + false_positive_count as predicted_count,
        true_positive_count + false_negative_count as actual_count,
        true_positive_count / nullif(predicted_count, 0) as precision, -- noqa: RF04
        true_positive_count / nullif(actual_count, 0) as recall
    from both_ends

),

final as (

    select
        past.training_set,
        past.model_name,
        {% for rate, count in {'precision': 'predicted_count', 'recall': 'actual_count'}.items() %}
            past.{{ rate }} as {{ rate }}_before,
            present.{{ rate }} as {{ rate }}_now,
            past.{{ rate }} - present.{{ rate }} as {{ rate }}_lost,
            -- So many standard errors of the difference of two shares, pooled.
            {{ standard_errors }} * sqrt(
                (past.true_positive_count + present.true_positive_count)
                * (past.{{ count }} + present.{{ count }} - past.true_positive_count - present.true_positive_count)
                / nullif(pow(past.{{ count }} + present.{{ count }}, 2), 0)
                * (1 / nullif(past.{{ count }}, 0) + 1 / nullif(present.{{ count }}, 0))
            ) as {{ rate }}_chance,
        {% endfor %}
        least(past.outcome_count, present.outcome_count) as outcome_count
    from rates as past
    inner join rates as present on past.training_set = present.training_set
    where not past.is_now and present.is_now

)

select * from final
