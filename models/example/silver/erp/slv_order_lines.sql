{{ assay.kept_rows(ref('slv_order_lines__checked')) }}
