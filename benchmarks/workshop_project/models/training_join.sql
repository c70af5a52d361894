{{ assay.point_in_time_join(source('cards', 'questions'), 'asked_at', [{
    'relation': ref('velocity'),
    'entity_keys': ['card_id'],
    'columns': [
        'transaction_count_1h', 'transaction_count_24h', 'transaction_count_7d',
        'amount_sum_1h', 'amount_sum_24h', 'amount_sum_7d', 'valid_from',
    ],
}]) }}
