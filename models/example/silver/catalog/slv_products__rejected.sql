{{ assay.rejected_rows(ref('slv_products__checked'), ref('brz_catalog__products'), ref('slv_rules')) }}
