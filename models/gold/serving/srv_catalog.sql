{{ online_catalog([
    'ftr_card__categories',
    'ftr_card__velocity',
    'ftr_card_merchant__pairs',
    'ftr_customer__affinity',
    'ftr_customer__purchases',
    'ftr_customer__sessions',
    'ftr_merchant__activity',
    'ftr_product__demand',
]) }}
