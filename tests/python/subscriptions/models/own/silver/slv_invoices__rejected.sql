{{ rejected_rows(ref('slv_invoices__checked'), ref('brz_billing__invoices'), ref('slv_rules')) }}
