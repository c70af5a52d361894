with predictions as (

    select * from {{ ref('slv_predictions') }}

),

labels as (

    {{ labelled_outcomes(judging(names_read('labels'))) }}

),

judged as (

    select
        predictions.model_name,
        predictions.label_name,
        predictions.event_at::date as predicted_on,
        predictions.score,
        predictions.score >= predictions.threshold as predicted,
        labels.outcome
    from predictions
    left join labels
        on predictions.label_name = labels.label_name and predictions.label_id = labels.label_id

),

counted as (

    select
        model_name,
        label_name,
        predicted_on,
        count(*) as prediction_count,
        count(outcome) as outcome_count,
        count(*) filter (predicted and outcome) as true_positive_count,
        count(*) filter (predicted and not outcome) as false_positive_count,
        count(*) filter (not predicted and outcome) as false_negative_count,
        count(*) filter (not predicted and not outcome) as true_negative_count,
        -- Sums of doubles depend on their order.
        sum(score::decimal(18, 9))::double / count(*) as score_avg
    from judged
    group by model_name, label_name, predicted_on

),

final as (

    select
        *,
        true_positive_count / nullif(true_positive_count + false_positive_count, 0) as precision, -- noqa: RF04
        true_positive_count / nullif(true_positive_count + false_negative_count, 0) as recall,
        false_positive_count / nullif(false_positive_count + true_negative_count, 0) as false_positive_rate
    from counted

)

select * from final
