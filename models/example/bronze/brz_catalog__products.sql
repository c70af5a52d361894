{{ assay.landed_rows('catalog', 'products') }}
