{{ assay.rejected_rows(ref('slv_customers__checked'), ref('brz_crm__customers'), ref('slv_rules')) }}
