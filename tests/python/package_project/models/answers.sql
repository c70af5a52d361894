{{ assay.point_in_time_join(source('plant', 'questions'), 'asked_at', [
    {
        'relation': ref('machine_owners'),
        'entity_keys': ['machine'],
        'columns': ['owner', 'place'],
        'confirmed_at': true,
        'max_age': '2d',
        'defaults': {'place': "'nowhere'"},
        'derived': {'is_ours': "owner = 'us'"},
    },
    {
        'relation': ref('machine_load'),
        'entity_keys': ['scenario', 'machine'],
        'columns': ['run_count_1h', 'amount_sum_all'],
        'prefix': 'load_',
    },
]) }}
