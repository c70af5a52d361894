{{ checked_changes(
    'crm', 'customers', key='customer_id',
    attributes=['email', 'full_name', 'segment', 'country', 'city', 'marketing_opt_in', 'created_at'],
    columns={
        'email': filled('attributes.email'),
        'full_name': filled('attributes.full_name'),
        'segment': filled('attributes.segment'),
        'country': filled('attributes.country'),
        'city': filled('attributes.city'),
        'is_marketing_allowed': 'try_cast(attributes.marketing_opt_in as boolean)',
        'registered_at': utc_timestamp('attributes.created_at'),
    },
    rules={
        'invalid_marketing_opt_in': 'attributes.marketing_opt_in is not null and is_marketing_allowed is null',
        'invalid_created_at': 'attributes.created_at is not null and not coalesce(isfinite(registered_at), false)',
    }
) }}
