{{ assay.windowed_history(
    ref('fct_product_activity'),
    entity_keys=['product_id'],
    event_at='happened_at',
    available_at='available_at',
    measures={
        'view': {'expression': "case when activity_type = 'view' then 1 end", 'aggregates': ['count']},
        'cart_addition': {
            'expression': "case when activity_type = 'cart_addition' then 1 end",
            'aggregates': ['count'],
        },
        'unit': {
            'expression': "case when activity_type = 'sale' then quantity::decimal(18, 0) end",
            'aggregates': ['sum'],
            'type': 'decimal(18, 0)',
        },
        'price': {
            'expression': "case when activity_type = 'sale' and unit_price > 0 then unit_price::decimal(18, 4) end",
            'aggregates': ['min', 'max'],
            'windows': ['7d', '28d'],
        },
    },
    windows=['4h', '24h', '7d', '28d']
) }}
