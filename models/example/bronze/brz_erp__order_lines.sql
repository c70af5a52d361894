{{ assay.landed_rows('erp', 'order_lines') }}
