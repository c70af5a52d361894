{{ landed_rows('catalog', 'products') }}
