{{ assay.effective_changes(ref('slv_products__checked'), 'product_id', {
    'product_name': 'product_name',
    'category': 'category',
    'brand': 'brand',
    'unit_cost': 'unit_cost',
    'is_active': 'is_active',
    'introduced_at': 'created_at',
}) }}
