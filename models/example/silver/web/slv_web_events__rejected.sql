{{ assay.rejected_rows(ref('slv_web_events__checked'), ref('brz_web__events'), ref('slv_rules')) }}
