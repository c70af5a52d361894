{{ rejected_rows(ref('slv_accounts__checked'), ref('brz_crm__accounts'), ref('slv_rules')) }}
