{{ assay.landed_rows('payments', 'card_transactions') }}
