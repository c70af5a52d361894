{{ online_rows('ftr_customer__sessions') }}
