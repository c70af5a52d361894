{{ assay.windowed_history(
    ref('fct_card_category_activity'),
    entity_keys=['card_id', 'category'],
    event_at='transacted_at',
    available_at='available_at',
    measures={
        'transaction': ['count'],
        'category_transaction': {'expression': 'case when is_in_category then 1 end', 'aggregates': ['count']},
        'category_amount': {
            'expression': 'case when is_in_category then amount end',
            'aggregates': ['sum'],
            'type': 'decimal(18, 2)',
        },
    },
    windows=['90d']
) }}
