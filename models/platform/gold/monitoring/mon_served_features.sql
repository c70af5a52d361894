with predictions as (

    select * from {{ ref('slv_predictions') }}

),

served as (

    select
        prediction_id,
        model_name,
        available_at,
        unnest(json_transform(served, '[{
            "feature_view": "VARCHAR", "keys": "JSON", "as_of": "VARCHAR", "features": "JSON", "inputs": "JSON"
        }]')) as answer
    from predictions

),

final as (

    select
        prediction_id,
        model_name,
        answer.feature_view,
        answer.keys::varchar as entity_keys,
        {{ utc_timestamp('answer.as_of') }} as as_of,
        answer.inputs::varchar as inputs,
        answer.features::varchar as features,
        available_at
    from served

)

select * from final
