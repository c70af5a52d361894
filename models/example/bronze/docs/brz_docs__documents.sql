{{ assay.landed_rows('docs', 'documents') }}
