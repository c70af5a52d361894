{{ landed_rows('billing', 'invoices') }}
