{{ online_rows('ftr_customer__purchases') }}
