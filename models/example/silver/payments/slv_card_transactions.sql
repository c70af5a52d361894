{{ assay.kept_rows(ref('slv_card_transactions__checked')) }}
