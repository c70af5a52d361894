{{ assay.landed_rows('catalog', 'price_list') }}
