with predictions as (

    select * from {{ ref('slv_predictions') }}

),

served as (

    select * from {{ ref('mon_served_features') }}

),

newest as (

    select max(available_at) as received_at from predictions

),

asked as (

    select distinct
        predictions.prediction_id,
        predictions.model_name,
        predictions.model_run_id,
        predictions.training_version,
        predictions.event_at as predicted_at,
        predictions.available_at as received_at,
        served.feature_view,
        served.entity_keys,
        coalesce(served.as_of, predictions.event_at) as as_of
    from predictions
    inner join newest
        on predictions.available_at >= newest.received_at - interval '{{ var("lineage_days") | int }} days'
    left join served on predictions.prediction_id = served.prediction_id

),

states as (

    {{ served_states('asked', relations_read('feature_views')) }}

),

landed as (

    {{ served_rows('asked', relations_read('feature_views'), relations_read('checked_rows')) }}

),

-- A row may be in what was served in several ways.
by_file as (

    select
        prediction_id,
        feature_view,
        entity_keys,
        as_of,
        silver_table,
        linked_by,
        source_file,
        file_version,
        nullif(count(distinct row_number), 0) as row_count,
        list_sort(list_distinct(list(row_number) filter (row_number is not null)))[:100] as row_numbers
    from landed
    group by all

),

final as (

    select
        asked.prediction_id,
        asked.model_name,
        asked.model_run_id,
        asked.training_version,
        asked.predicted_at,
        asked.feature_view,
        asked.entity_keys,
        asked.as_of,
        states.valid_from,
        by_file.silver_table,
        by_file.linked_by,
        by_file.source_file,
        by_file.file_version,
        by_file.row_count,
        by_file.row_numbers
    from asked
    left join states
        on
            asked.prediction_id = states.prediction_id
            and asked.feature_view = states.feature_view
            and asked.entity_keys = states.entity_keys
            and asked.as_of = states.as_of
    left join by_file
        on
            asked.prediction_id = by_file.prediction_id
            and asked.feature_view = by_file.feature_view
            and asked.entity_keys = by_file.entity_keys
            and asked.as_of = by_file.as_of

)

select * from final
