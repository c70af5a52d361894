{{ landed_rows('crm', 'accounts') }}
