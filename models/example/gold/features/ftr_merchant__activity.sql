{{ assay.windowed_history(
    ref('fct_merchant_activity'),
    entity_keys=['merchant_id'],
    event_at='transacted_at',
    available_at='available_at',
    measures={
        'transaction': {
            'expression': "case when activity_type = 'authorisation' then 1 end",
            'aggregates': ['count'],
            'windows': ['1h', '24h', '7d', '30d'],
        },
        'amount': {
            'expression': "case when activity_type = 'authorisation' then amount end",
            'aggregates': ['sum'],
            'type': 'decimal(18, 2)',
            'windows': ['1h', '24h', '7d', '30d'],
        },
        'card': {
            'expression': "case when activity_type = 'authorisation' then card_id end",
            'aggregates': ['distinct_count'],
            'windows': ['1h', '24h', '7d', '30d'],
        },
        'outcome': {'expression': 'is_fraud', 'aggregates': ['count'], 'windows': ['90d', 'all']},
        'confirmed_fraud': {
            'expression': 'case when is_fraud then 1 end',
            'aggregates': ['count'],
            'windows': ['90d', 'all'],
        },
    },
    windows=['1h', '24h', '7d', '30d', '90d', 'all']
) }}
