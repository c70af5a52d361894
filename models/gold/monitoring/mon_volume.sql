{{ daily_volume({
    'slv_card_transactions': ref('slv_card_transactions'),
    'slv_customers__changes': ref('slv_customers__changes'),
    'slv_order_lines': ref('slv_order_lines'),
    'slv_price_list': ref('slv_price_list'),
    'slv_products__changes': ref('slv_products__changes'),
    'slv_web_events': ref('slv_web_events'),
}) }}
