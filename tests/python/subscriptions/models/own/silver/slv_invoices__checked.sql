{{ checked_rows(
    'billing', 'invoices', key=['invoice_id'], repeated='repeated_invoice',
    columns={
        'invoice_id': filled('invoice_id'),
        'account_id': filled('account_id'),
        'seats': strict_number('seats', 'integer'),
        'total': strict_number('total', 'decimal(18, 2)'),
        'written_at': utc_timestamp('issued_at'),
    },
    rules={
        'missing_invoice_id': 'invoice_id is null',
        'missing_account_id': 'account_id is null',
        'invalid_total': 'total is null',
        'invalid_issued_at': 'claimed_at is null',
    }
) }}
