{{ assay.landed_rows('crm', 'customers') }}
