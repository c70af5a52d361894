{{ config(materialized='history') }}
{{ assay.windowed_history(
    source('cards', 'transactions'),
    entity_keys=['card_id'],
    event_at='happened_at',
    available_at='available_at',
    measures={
        'transaction': ['count'],
        'amount': {'aggregates': ['sum'], 'type': 'decimal(18, 2)'},
    },
    windows=['1h', '24h', '7d']
) }}
