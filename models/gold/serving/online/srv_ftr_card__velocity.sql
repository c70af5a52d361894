{{ online_rows('ftr_card__velocity') }}
