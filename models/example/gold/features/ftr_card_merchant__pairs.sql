{{ assay.windowed_history(
    ref('fct_card_transactions'),
    entity_keys=['card_id', 'merchant_id'],
    event_at='transacted_at',
    available_at='available_at',
    measures={
        'transaction': ['count'],
        'amount': {'aggregates': ['sum', 'max'], 'type': 'decimal(18, 2)'},
        'transacted_at': {'aggregates': ['first', 'last'], 'windows': ['all']},
    },
    windows=['90d', 'all']
) }}
