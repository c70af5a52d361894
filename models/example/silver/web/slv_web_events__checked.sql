{{ assay.checked_rows(
    'web', 'events', key=['message_id'], repeated='duplicate_message',
    document='{
        "messageId": "VARCHAR", "userId": "VARCHAR", "anonymousId": "VARCHAR", "event": "VARCHAR",
        "timestamp": "VARCHAR", "receivedAt": "VARCHAR",
        "properties": {
            "product_id": "VARCHAR", "category": "VARCHAR", "price": "VARCHAR", "quantity": "VARCHAR",
            "order_id": "VARCHAR", "total": "VARCHAR", "query": "VARCHAR"
        }
    }',
    joins='left join ' ~ ref('web_event_types') ~ ' as event_types on document.event = event_types.event_name',
    columns={
        'message_id': assay.filled('document.messageId'),
        'customer_id': assay.filled('document.userId'),
        'anonymous_id': assay.filled('document.anonymousId'),
        'event_name': 'document.event',
        'event_type': 'event_types.event_type',
        'product_id': assay.filled('document.properties.product_id'),
        'category': assay.filled('document.properties.category'),
        'price': assay.strict_number('document.properties.price', 'decimal(18, 2)'),
        'quantity': assay.strict_number('document.properties.quantity', 'integer'),
        'order_id': assay.filled('document.properties.order_id'),
        'order_amount': assay.strict_number('document.properties.total', 'decimal(18, 2)'),
        'search_query': assay.filled('document.properties.query'),
        'written_at': assay.utc_timestamp('document."timestamp"'),
        'received_at': assay.utc_timestamp('document.receivedAt'),
    },
    rules={
        'missing_message_id': 'message_id is null',
        'missing_identity': 'customer_id is null and anonymous_id is null',
        'unknown_event': 'event_type is null',
        'invalid_timestamp': 'written_at is null',
        'timestamp_out_of_range': 'written_at is not null and claimed_at is null',
        'invalid_received_at': 'claimed_available_at is null',
        'invalid_price': 'document.properties.price is not null and price is null',
        'invalid_quantity': 'document.properties.quantity is not null and quantity is null',
        'invalid_order_amount': 'document.properties.total is not null and order_amount is null',
    }
) }}
