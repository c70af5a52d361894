{{ landed_rows('crm', 'customers') }}
