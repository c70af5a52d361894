{{ effective_changes(ref('slv_products__checked'), 'product_id') }}
