{{ checked_changes(
    'crm', 'accounts', key='account_id',
    attributes=['tier', 'seat_limit'],
    columns={
        'tier': filled('attributes.tier'),
        'seat_limit': strict_number('attributes.seat_limit', 'integer'),
    }
) }}
