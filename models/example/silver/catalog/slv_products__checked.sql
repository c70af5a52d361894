{{ assay.checked_changes(
    'catalog', 'products', key='product_id',
    attributes=['product_name', 'category', 'brand', 'unit_cost', 'is_active', 'created_at'],
    columns={
        'product_name': assay.filled('attributes.product_name'),
        'category': assay.filled('attributes.category'),
        'brand': assay.filled('attributes.brand'),
        'unit_cost': assay.strict_number('attributes.unit_cost', 'decimal(18, 4)'),
        'is_active': 'try_cast(attributes.is_active as boolean)',
        'introduced_at': assay.utc_timestamp('attributes.created_at'),
    },
    rules={
        'invalid_unit_cost': 'attributes.unit_cost is not null and unit_cost is null',
        'negative_unit_cost': 'unit_cost < 0',
        'invalid_is_active': 'attributes.is_active is not null and is_active is null',
        'invalid_created_at': 'attributes.created_at is not null and not coalesce(isfinite(introduced_at), false)',
    }
) }}
