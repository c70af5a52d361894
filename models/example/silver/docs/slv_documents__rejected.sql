{{ assay.rejected_rows(ref('slv_documents__checked'), ref('brz_docs__documents'), ref('slv_rules')) }}
