{{ effective_changes(ref('slv_customers__checked'), 'customer_id') }}
