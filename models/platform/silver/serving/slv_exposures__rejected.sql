{{ rejected_rows(ref('slv_exposures__checked'), ref('brz_serving__exposures'), ref('slv_rules')) }}
