{{ assay.checked_changes(
    'crm', 'customers', key='customer_id',
    attributes=['email', 'full_name', 'segment', 'country', 'city', 'marketing_opt_in', 'created_at'],
    columns={
        'email': assay.filled('attributes.email'),
        'full_name': assay.filled('attributes.full_name'),
        'segment': assay.filled('attributes.segment'),
        'country': assay.filled('attributes.country'),
        'city': assay.filled('attributes.city'),
        'is_marketing_allowed': 'try_cast(attributes.marketing_opt_in as boolean)',
        'registered_at': assay.utc_timestamp('attributes.created_at'),
    },
    rules={
        'invalid_marketing_opt_in': 'attributes.marketing_opt_in is not null and is_marketing_allowed is null',
        'invalid_created_at': 'attributes.created_at is not null and not coalesce(isfinite(registered_at), false)',
    }
) }}
