{{ assay.windowed_history(
    source('cards', 'transactions'),
    entity_keys=['card_id'],
    event_at='happened_at',
    available_at='available_at',
    measures={'amount': ['max', 'distinct_count', 'last']},
    windows=['24h', '7d']
) }}
