{{ assay.kept_rows(ref('slv_price_list__checked')) }}
