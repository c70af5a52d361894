{{ assay.windowed_history(
    ref('fct_purchases'),
    entity_keys=['customer_id'],
    event_at='ordered_at',
    available_at='available_at',
    measures={
        'purchase': ['count'],
        'order': {'expression': 'order_id', 'aggregates': ['distinct_count']},
        'amount': {'expression': 'line_amount', 'aggregates': ['sum', 'avg']},
        'purchased_at': {'expression': 'ordered_at', 'aggregates': ['first', 'last'], 'windows': ['all']},
        'category': {'aggregates': ['mode'], 'windows': ['90d', 'all']},
    },
    windows=['7d', '30d', '90d', 'all']
) }}
