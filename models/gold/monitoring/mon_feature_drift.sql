{{ feature_drift(
    views=[
        'ftr_card__categories',
        'ftr_card__velocity',
        'ftr_card_merchant__pairs',
        'ftr_customer__affinity',
        'ftr_customer__purchases',
        'ftr_customer__sessions',
        'ftr_merchant__activity',
        'ftr_product__demand',
    ],
    training_sets=['trn_churn', 'trn_fraud', 'trn_recommendation'],
    months=var('drift_months'),
    rows=var('drift_rows')
) }}
