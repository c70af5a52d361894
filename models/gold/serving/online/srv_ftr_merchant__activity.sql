{{ online_rows('ftr_merchant__activity') }}
