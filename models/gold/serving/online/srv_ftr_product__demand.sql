{{ online_rows('ftr_product__demand') }}
