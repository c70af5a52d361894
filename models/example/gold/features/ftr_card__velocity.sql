{{ assay.windowed_history(
    ref('fct_card_transactions'),
    entity_keys=['card_id'],
    event_at='transacted_at',
    available_at='available_at',
    measures={
        'transaction': ['count'],
        'amount': {'aggregates': ['sum', 'max'], 'windows': ['5m', '1h', '24h', '7d', '30d'], 'type': 'decimal(18, 2)'},
        'merchant': {'expression': 'merchant_id', 'aggregates': ['distinct_count'], 'windows': ['24h', '7d']},
        'transacted_at': {'aggregates': ['last'], 'windows': ['all']},
        'latitude': {'expression': 'merchant_latitude', 'aggregates': ['last'], 'windows': ['all']},
        'longitude': {'expression': 'merchant_longitude', 'aggregates': ['last'], 'windows': ['all']},
    },
    windows=['5m', '1h', '24h', '7d', '30d', 'all']
) }}
