{{ assay.effective_changes(ref('slv_customers__checked'), 'customer_id', {
    'email': 'email',
    'full_name': 'full_name',
    'segment': 'segment',
    'country': 'country',
    'city': 'city',
    'is_marketing_allowed': 'marketing_opt_in',
    'registered_at': 'created_at',
}) }}
