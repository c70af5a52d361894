{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook=after_commit("{{ assay.flag_duplicates(
        this, ref('brz_serving__predictions'), assay.content_hash('serving', 'predictions'),
        ['prediction_id'], 'duplicate_prediction'
    ) }}")
) }}

with landed as (

    {{ rows_to_check(ref('brz_serving__predictions'), documents=true) }}

),

parsed as (

    select
        * exclude (content_hash),
        json_valid(line) as is_json,
        case when json_valid(line) then json_transform(line, '{
            "prediction_id": "VARCHAR", "model": "VARCHAR", "label": "VARCHAR", "label_id": "VARCHAR",
            "score": "VARCHAR", "threshold": "VARCHAR", "predicted_at": "VARCHAR", "received_at": "VARCHAR",
            "request_id": "VARCHAR"
        }') end as document,
        -- Numbers stay numbers: they were served as DOUBLE.
        case
            when json_valid(line_as_sent) then json_transform(line_as_sent, '{"served": "JSON"}').served
        end as answered
    from landed

),

typed as (

    select
        *,
        {{ filled('document.prediction_id') }} as prediction_id,
        {{ filled('document.model') }} as model_name,
        {{ filled('document.label') }} as label_name,
        {{ filled('document.label_id') }} as label_id,
        case json_type(answered) when 'NULL' then null else answered end as served,
        try_cast(document.score as double) as score,
        try_cast(document.threshold as double) as threshold,
        {{ utc_timestamp('document.predicted_at') }} as written_at,
        {{ utc_timestamp('document.received_at') }} as received_at
    from parsed

),

described as (

    select
        *,
        json_transform(served, '[{"feature_view": "VARCHAR", "keys": "JSON", "features": "JSON"}]') as answers
    from typed

),

timed as (

    {{ with_times('described', 'serving', 'predictions', received_at='received_at') }}

),

final as (

    select
        prediction_id,
        model_name,
        label_name,
        label_id,
        score,
        threshold,
        {{ filled('document.request_id') }} as request_id,
        served::varchar as served,
        event_at,
        claimed_at,
        available_at,
        claimed_available_at,
        {{ broken_rules(
            structure={
                'malformed_row': 'malformed_reason is not null',
                'schema_changed': 'schema_conflict is not null',
                'malformed_json': 'not is_json',
                'not_an_object': "prediction_id is null and left(ltrim(line), 1) <> '{'",
            },
            content={
                'missing_prediction_id': 'prediction_id is null',
                'missing_model': 'model_name is null',
                'missing_label': 'label_name is null or label_id is null',
                'invalid_score': 'not coalesce(score between 0 and 1, false)',
                'invalid_threshold': 'not coalesce(threshold between 0 and 1, false)',
                'invalid_served': "not json_type(served) = 'ARRAY' or len(list_filter(answers, lambda answer: answer.feature_view is null or json_type(answer.keys) is distinct from 'OBJECT' or json_type(answer.features) is distinct from 'OBJECT')) > 0",
                'invalid_predicted_at': 'not coalesce(' ~ within_event_range('written_at') ~ ', false)',
                'invalid_received_at': 'not coalesce(' ~ within_event_range('received_at') ~ ', false)',
            },
            contract='contract_rule_ids'
        ) }} as rule_ids,
        file_id,
        row_number,
        source_file,
        file_version,
        landed_at,
        loaded_at,
        run_id
    from timed
    where {{ known_as_of('available_at') }}

)

{{ shielded_rows('final') }}
