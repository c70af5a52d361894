{{ rejected_rows(ref('slv_sessions__checked'), ref('brz_app__sessions'), ref('slv_rules')) }}
