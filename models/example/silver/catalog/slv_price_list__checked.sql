{{ assay.checked_rows(
    'catalog', 'price_list', key=['file_id', 'product_id'], repeated='duplicate_price',
    columns={
        'product_id': assay.filled('product_id'),
        'unit_price': assay.strict_number('unit_price', 'decimal(18, 4)'),
        'currency': assay.filled('currency'),
        'written_at': assay.utc_timestamp('exported_at'),
    },
    rules={
        'invalid_unit_price': 'unit_price is null',
        'negative_unit_price': 'unit_price < 0',
        'invalid_currency': "not coalesce(regexp_full_match(currency, '[A-Z]{3}'), false)",
        'invalid_exported_at': 'claimed_at is null',
    }
) }}
