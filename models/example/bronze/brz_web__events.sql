{{ assay.landed_rows('web', 'events') }}
