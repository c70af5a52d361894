{{ checked_rows(
    'serving', 'predictions', key=['prediction_id'], repeated='duplicate_prediction',
    document='{
        "prediction_id": "VARCHAR", "model": "VARCHAR", "label": "VARCHAR", "label_id": "VARCHAR",
        "score": "VARCHAR", "threshold": "VARCHAR", "predicted_at": "VARCHAR", "received_at": "VARCHAR",
        "request_id": "VARCHAR", "run_id": "VARCHAR", "training_version": "VARCHAR"
    }',
    columns={
        'prediction_id': filled('document.prediction_id'),
        'model_name': filled('document.model'),
        'label_name': filled('document.label'),
        'label_id': filled('document.label_id'),
        'score': 'try_cast(document.score as double)',
        'threshold': 'try_cast(document.threshold as double)',
        'request_id': filled('document.request_id'),
        'model_run_id': filled('document.run_id'),
        'training_version': filled('document.training_version'),
        'served': "case when json_valid(line_as_sent) then nullif(json_transform(line_as_sent, '{\"served\": \"JSON\"}').served::varchar, 'null') end",
        'written_at': utc_timestamp('document.predicted_at'),
        'received_at': utc_timestamp('document.received_at'),
    },
    rules={
        'missing_prediction_id': 'prediction_id is null',
        'missing_model': 'model_name is null',
        'missing_label': 'label_name is null or label_id is null',
        'invalid_score': 'not coalesce(score between 0 and 1, false)',
        'invalid_threshold': 'not coalesce(threshold between 0 and 1, false)',
        'invalid_served': "not json_type(served) = 'ARRAY' or len(list_filter("
            ~ "json_transform(served, '[{\"feature_view\": \"VARCHAR\", \"keys\": \"JSON\", \"features\": \"JSON\"}]'),"
            ~ " lambda answer: answer.feature_view is null or json_type(answer.keys) is distinct from 'OBJECT'"
            ~ " or json_type(answer.features) is distinct from 'OBJECT')) > 0",
        'invalid_predicted_at': 'claimed_at is null',
        'invalid_received_at': 'claimed_available_at is null',
    }
) }}
