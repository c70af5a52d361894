{{ assay.windowed_history(
    ref('slv_web_events'),
    entity_keys=['customer_id'],
    event_at='event_at',
    available_at='available_at',
    measures={
        'view': {'expression': "case when event_type = 'view' then 1 end", 'aggregates': ['count']},
        'cart_addition': {'expression': "case when event_type = 'cart_addition' then 1 end", 'aggregates': ['count']},
        'product': {'expression': 'product_id', 'aggregates': ['distinct_count']},
    },
    windows=['1h', '24h']
) }}
