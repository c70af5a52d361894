{{ checked_rows(
    'serving', 'exposures', key=['exposure_id'], repeated='duplicate_exposure',
    document='{
        "exposure_id": "VARCHAR", "experiment": "VARCHAR", "salt": "VARCHAR", "arm": "VARCHAR", "entity": "VARCHAR",
        "entity_id": "VARCHAR", "exposed_at": "VARCHAR", "received_at": "VARCHAR", "request_id": "VARCHAR"
    }',
    columns={
        'exposure_id': filled('document.exposure_id'),
        'experiment_name': filled('document.experiment'),
        'salt': filled('document.salt'),
        'arm': filled('document.arm'),
        'entity': filled('document.entity'),
        'entity_id': filled('document.entity_id'),
        'weights': "case when json_valid(line_as_sent) then try_cast(json_transform(line_as_sent, '{\"weights\": \"JSON\"}').weights as map(varchar, double)) end",
        'request_id': filled('document.request_id'),
        'written_at': utc_timestamp('document.exposed_at'),
        'received_at': utc_timestamp('document.received_at'),
    },
    rules={
        'missing_exposure_id': 'exposure_id is null',
        'missing_experiment': 'experiment_name is null or salt is null or arm is null',
        'missing_entity': 'entity is null or entity_id is null',
        'invalid_weights': 'not coalesce(weights[arm] > 0 and list_min(map_values(weights)) >= 0 and list_count(map_values(weights)) = cardinality(weights) and isfinite(list_sum(map_values(weights))), false)',
        'invalid_exposed_at': 'claimed_at is null',
        'invalid_received_at': 'claimed_available_at is null',
    }
) }}
