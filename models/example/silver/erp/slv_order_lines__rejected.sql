{{ assay.rejected_rows(ref('slv_order_lines__checked'), ref('brz_erp__order_lines'), ref('slv_rules')) }}
