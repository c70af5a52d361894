{{ assay.rejected_rows(ref('slv_price_list__checked'), ref('brz_catalog__price_list'), ref('slv_rules')) }}
