{{ assay.rejected_rows(
    ref('slv_card_transactions__checked'), ref('brz_payments__card_transactions'), ref('slv_rules')
) }}
