{{ assay.checked_rows(
    'erp', 'order_lines', key=['order_line_id'],
    columns={
        'order_line_id': 'content_hash',
        'order_id': assay.filled('InvoiceNo'),
        'product_id': assay.filled('StockCode'),
        'product_description': assay.filled('Description'),
        'customer_id': "nullif(regexp_replace(trim(CustomerID), '[.]0$', ''), '')",
        'country': assay.filled('Country'),
        'quantity': assay.strict_number('Quantity', 'integer'),
        'unit_price': assay.strict_number('UnitPrice', 'decimal(18, 4)'),
        'written_at': assay.utc_timestamp('InvoiceDate', ['%m/%d/%Y %H:%M']),
    },
    computed={'line_amount': 'try_cast(round(quantity::decimal(38, 0) * unit_price, 2) as decimal(18, 2))'},
    rules={
        'invalid_quantity': 'quantity is null',
        'invalid_unit_price': 'unit_price is null',
        'amount_out_of_range': 'quantity is not null and unit_price is not null and line_amount is null',
        'invalid_invoice_date': 'written_at is null',
        'invoice_date_out_of_range': 'written_at is not null and claimed_at is null',
    }
) }}
