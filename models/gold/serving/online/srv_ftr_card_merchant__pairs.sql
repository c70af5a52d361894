{{ online_rows('ftr_card_merchant__pairs') }}
