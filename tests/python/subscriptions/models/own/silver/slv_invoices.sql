{{ kept_rows(ref('slv_invoices__checked')) }}
